"""Files replaced as a whole or not at all, also when the power goes."""

from __future__ import annotations

import glob
import os
import shutil
from pathlib import Path

_HALF = ".islandflow-"  # between a file's name and the process that writes it, in the name of what is not whole yet


def put(path: Path, content: bytes, mode: int, owner: str, group: str) -> None:
    """Write a file beside its place, fsync it and rename it over. Raises OSError, LookupError.

    Numeric owners are taken as such. Not being root, the owner stays who it is.
    """
    beside = path.with_name(f".{path.name}{_HALF}{os.getpid()}")
    beside.unlink(missing_ok=True)
    try:
        # Whoever owns the folder must not have it lead somewhere else.
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            if os.geteuid() == 0:
                shutil.chown(beside, _id(owner), _id(group))
            os.chmod(beside, mode)
            file.flush()
            os.fsync(file.fileno())
        os.rename(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Delete a file if it is there, for good."""
    path.unlink(missing_ok=True)
    if path.parent.exists():
        sync_folder(path.parent)


def clear(path: Path) -> None:
    """Delete what a process that was killed while it wrote this file has left beside it."""
    for half in path.parent.glob(f".{glob.escape(path.name)}{_HALF}*"):
        half.unlink(missing_ok=True)


def clear_all(folder: Path) -> None:
    """The same for every file in a folder and below."""
    for half in folder.rglob(f".*{_HALF}*"):
        half.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a crash."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _id(name: str) -> str | int:
    return int(name) if name.isdigit() else name
