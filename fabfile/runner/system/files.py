"""Writes files atomically, also when the power fails."""

from __future__ import annotations

import glob
import os
import shutil
from pathlib import Path

_PARTIAL_MARK = ".islandflow-"  # in a partial file's name, between the final name and the writer's process id


def put(path: Path, content: bytes, mode: int, owner: str, group: str) -> None:
    """Replace a file atomically: write a temporary one beside it, fsync, rename. Raises OSError, LookupError.

    `owner` and `group` are names or numbers; they are ignored where the runner is not root.
    """
    temporary = path.with_name(f".{path.name}{_PARTIAL_MARK}{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        # O_EXCL: the folder's owner must not redirect the write by a symbolic link.
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            if os.geteuid() == 0:
                shutil.chown(temporary, _id(owner), _id(group))
            os.chmod(temporary, mode)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """Delete a file if it exists, and sync its folder."""
    path.unlink(missing_ok=True)
    if path.parent.exists():
        sync_folder(path.parent)


def clear(path: Path) -> None:
    """Delete the partial copies of this file that a process left when it was killed while writing it."""
    for partial in path.parent.glob(f".{glob.escape(path.name)}{_PARTIAL_MARK}*"):
        partial.unlink(missing_ok=True)


def clear_all(folder: Path) -> None:
    """Delete the partial copies of every file in a folder and below."""
    for partial in folder.rglob(f".*{_PARTIAL_MARK}*"):
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a crash."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _id(name: str) -> str | int:
    return int(name) if name.isdigit() else name
