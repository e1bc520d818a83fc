"""Everything that changes the VPS: each kind of change once, with its way back.

Whoever imports this package knows every action by name, as a plan on its way needs it.
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
    release,
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
    "release",
    "units",
]
