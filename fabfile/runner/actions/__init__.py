"""Everything that changes the VPS: each kind of change once, with its undo.

Importing this package imports every action, so that a plan can be decoded.
"""

from __future__ import annotations

from . import (
    backup,
    compose,
    data,
    edge,
    edge_point,
    edge_switch,
    files,
    firewall,
    parking,
    probes,
    proof,
    releases,
    settings,
    units,
)

__all__ = [
    "backup",
    "compose",
    "data",
    "edge",
    "edge_point",
    "edge_switch",
    "files",
    "firewall",
    "parking",
    "probes",
    "proof",
    "releases",
    "settings",
    "units",
]
