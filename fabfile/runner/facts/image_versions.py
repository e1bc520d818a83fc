"""The versions that images have told, kept on the VPS: to start a container for each takes longer than all the rest.

An image's identifier is the hash of what is in it, so what it has told once it would tell again. Only a folder that a
plan has made is written to: before the first plan a survey leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..system.files import put
from ..system.machine import CommandFailed, Machine
from ..wire.facts import Program

_FILE = "image-versions.json"
_FORMAT = 1


def identifiers(machine: Machine, programs: Sequence[Program]) -> dict[str, str]:
    """Image → its identifier, of those that the programs are in; none unless Docker knows all of them."""
    images = list(dict.fromkeys(program.image for program in programs if program.image))
    if not images:
        return {}
    try:
        found = machine.run(["docker", "image", "inspect", "--format", "{{.Id}}", *images], timeout=15).out.split()
    except CommandFailed:
        return {}
    return dict(zip(images, found)) if len(found) == len(images) else {}


def key(program: Program, identifier: str) -> str:
    """By what a program's version is kept."""
    return " ".join([identifier, *program.argv])


def kept(ops: Path) -> dict[str, str]:
    """Key → version; nothing where the file is missing, damaged, or of another format."""
    try:
        data = json.loads((ops / _FILE).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(data, dict) or data.get("version") != _FORMAT or not isinstance(data.get("images"), dict):
        return {}
    return {name: version for name, version in data["images"].items() if isinstance(version, str) and version}


def keep(ops: Path, versions: Mapping[str, str]) -> None:
    """Keep these versions and no others, where a plan has made the folder. What goes wrong with it only costs time."""
    if not ops.is_dir() or versions == kept(ops):
        return
    with contextlib.suppress(OSError):
        text = json.dumps({"version": _FORMAT, "images": dict(versions)})
        put(ops / _FILE, text.encode(), 0o600, "root", "root")
