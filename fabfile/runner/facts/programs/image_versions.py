"""A cache, on the VPS, of the versions of servers in images: to read one means to start a container.

An image's identifier is the hash of its contents, so its version never changes. The cache is written only into a
folder that a plan has made: before the first plan a survey leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...system.files import put
from ...system.machine import CommandFailed, Machine
from ...wire import shape
from ...wire.app import Program

_FILE = "image-versions.json"
_FORMAT = 2  # 1: without the names of Redis' forks


def identifiers(machine: Machine, programs: Sequence[Program]) -> dict[str, str]:
    """Image → its identifier, of the programs' images; empty unless Docker has all of them."""
    images = list(dict.fromkeys(program.image for program in programs if program.image))
    if not images:
        return {}
    try:
        ids = machine.run(["docker", "image", "inspect", "--format", "{{.Id}}", *images], timeout=15).out.split()
    except CommandFailed:
        return {}
    return dict(zip(images, ids)) if len(ids) == len(images) else {}


def key(program: Program, identifier: str) -> str:
    """The cache's key of a program in an image."""
    return " ".join([identifier, *program.argv])


def load(ops: Path) -> dict[str, str]:
    """Key → version; empty where the file is missing, damaged, or of another format."""
    try:
        data = shape.parse((ops / _FILE).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(data, dict) or data.get("version") != _FORMAT or not isinstance(data.get("images"), dict):
        return {}
    return {name: version for name, version in data["images"].items() if isinstance(version, str) and version}


def save(ops: Path, versions: Mapping[str, str]) -> None:
    """Write these versions and no others, where the folder exists. A failure is ignored: it only costs time."""
    if not ops.is_dir() or versions == load(ops):
        return
    with contextlib.suppress(OSError):
        text = json.dumps({"version": _FORMAT, "images": dict(versions)})
        put(ops / _FILE, text.encode(), 0o600, "root", "root")
