"""The seal: while native owns, each data directory is read-only to all but the native servers.

Whoever opens a directory at its usual place finds it mounted read-only over itself. The native servers' units bind it
by the way that is kept for them, below a folder that root alone may enter. Mounting and unmounting may be cut off
anywhere, and repeated.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from .facts.data.openers import mounts_at, openers
from .system.machine import Machine, StepFailed

_MOUNT_SECONDS = 30.0


def seal(root: Path, arguments: Sequence[str], stdin: object) -> int:
    """Seal the data, as the unit says: arguments[0] is the folder, then comes NAME=DIRECTORY for each server.

    Not beneath a server that runs: the mount would appear in its unit as well. Raises StepFailed, OSError.
    """
    folder, directories = _read(arguments)
    users = openers(list(directories.values()))
    if users:
        raise StepFailed(f"the data is in use, and is sealed only when nobody uses it: {'; '.join(map(str, users))}")
    mount(Machine(root), folder, directories)
    return 0


def unseal(root: Path, arguments: Sequence[str], stdin: object) -> int:
    """Undo it, by the same arguments."""
    folder, directories = _read(arguments)
    unmount(Machine(root), folder, directories)
    return 0


def mount(machine: Machine, folder: Path, directories: Mapping[str, str]) -> None:
    """Mount the directories, by name, read-only over themselves. Raises CommandFailed, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, directory in directories.items():
        way = folder / name
        way.mkdir(exist_ok=True)
        if not mounts_at(str(way)):
            # Private, or the read-only mount would appear in it as well.
            _run(machine, "mount", "--bind", "--make-private", os.path.realpath(directory), str(way))
    for name, directory in directories.items():
        real, mark = os.path.realpath(directory), _mark(folder, name)
        if not mark.exists():
            mark.write_text(str(mounts_at(real)))
        if mounts_at(real) <= int(mark.read_text()):
            _run(machine, "mount", "--bind", "-o", "ro", real, real)


def unmount(machine: Machine, folder: Path, directories: Mapping[str, str]) -> None:
    """Undo it: the operator's own mounts stay, as many as were there before. Raises CommandFailed, OSError."""
    for name, directory in directories.items():
        real, mark, way = os.path.realpath(directory), _mark(folder, name), folder / name
        if mark.exists():
            while mounts_at(real) > int(mark.read_text()):
                _run(machine, "umount", "--lazy", real)
            mark.unlink()
        while mounts_at(str(way)):
            _run(machine, "umount", "--lazy", str(way))
        with contextlib.suppress(OSError):
            way.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _read(arguments: Sequence[str]) -> tuple[Path, dict[str, str]]:
    folder, *words = arguments
    pairs = [word.partition("=") for word in words]
    return Path(folder), {name: directory for name, _, directory in pairs}


def _mark(folder: Path, name: str) -> Path:
    """Says how many mounts the directory had before, and is written before ours: so none is ever taken for another."""
    return folder / f"{name}.mounts-before"


def _run(machine: Machine, *argv: str) -> None:
    machine.run(list(argv), timeout=_MOUNT_SECONDS)
