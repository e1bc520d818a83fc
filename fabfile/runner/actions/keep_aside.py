"""The data as the former servers left it, kept aside until the new ones have shown that they hold all of it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..facts.data import keeping
from ..facts.data.openers import mounts_at
from ..system.files import put, sync_folder
from ..system.machine import Evidence, Machine, StepFailed, os_error_text
from ..wire.codec import wire
from ..wire.data import Kept
from .base import Action
from .before import Before

_PROVEN_MARK = "data-proven"  # in the plan's own backups


def proven(machine: Machine) -> bool:
    """Whether this plan has shown that the new servers hold all that the former ones held."""
    return (machine.backups / _PROVEN_MARK).exists()


def mark_proven(machine: Machine) -> None:
    """Record that the comparison has passed. Raises OSError."""
    put(machine.backups / _PROVEN_MARK, b"", 0o600, "root", "root")


@wire
@dataclass(frozen=True)
class KeepAside(Action):
    """Keeps the stopped servers' data as it is, beside it: links, and copies of what a server writes in place.

    Put back as a whole unless the comparison has passed. Where a folder can't be kept the evidence says why.
    """

    kept: tuple[Kept, ...]

    def apply(self, machine: Machine, before: Before) -> Evidence:
        result: Evidence = {}
        for item in self.kept:
            try:
                result[item.folder] = _keep(machine, item)
                put(_whole_mark(machine, item.folder), b"", 0o600, "root", "root")
            except (OSError, StepFailed) as error:
                delete(_part(item.folder))
                result[item.folder] = f"not kept: {os_error_text(error)}"
        return {"kept": result}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        if proven(machine):
            self.discard()
            return {"restored": []}
        # What another plan left beside the data is older than the data.
        own = [item.folder for item in self.kept if _whole_mark(machine, item.folder).exists()]
        return {"restored": [folder for folder in own if _restore(folder, left_by_others(machine, folder))]}

    def discard(self) -> None:
        """Delete what is kept aside. What can't be deleted stays beside the data; nothing reads it."""
        for item in self.kept:
            delete(_aside(item.folder))

    def describe(self) -> str:
        return "keep aside " + ", ".join(item.folder for item in self.kept)


@wire
@dataclass(frozen=True)
class DiscardKept(Action):
    """Deletes what was kept aside."""

    aside: KeepAside

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self.aside.discard()
        return {"deleted": [str(_aside(item.folder)) for item in self.aside.kept]}

    def describe(self) -> str:
        return "delete what was kept aside of the data"


def _whole_mark(machine: Machine, folder: str) -> Path:
    """Return the file that marks, in the plan's backups, that the copy of the folder is whole."""
    return machine.backups / ("kept" + folder.replace("/", "-"))


def _aside(folder: str) -> Path:
    """Return the copy's path, beside the folder that a link resolves to: hard links need the same file system."""
    path = Path(os.path.realpath(folder))
    return path.with_name(f".{path.name}.kept-by-islandflow")


def left_by_others(machine: Machine, folder: str) -> Path:
    """Return the path for the data of servers that failed the comparison, kept until the former ones pass it.

    Another plan's is left alone: somebody may still have to compare it.
    """
    path = Path(os.path.realpath(folder))
    return path.with_name(f".{path.name}.left-in-{machine.backups.parent.name}-by-islandflow")


def _part(folder: str) -> Path:
    aside = _aside(folder)
    return aside.with_name(f"{aside.name}.part")


def _keep(machine: Machine, item: Kept) -> dict[str, int]:
    """Create the copy: whole and on the disk, or not at all. A power cut must not leave empty files."""
    aside, part = _aside(item.folder), _part(item.folder)
    delete(part)
    delete(aside)
    source_folder = os.path.realpath(item.folder)
    if not os.path.isdir(source_folder):
        return {"linked": 0, "copied_bytes": 0}
    if mounts_at(source_folder):
        raise OSError(keeping.MOUNT_POINT)
    division = keeping.Division(item)
    linked = copied = 0
    for root, folders, files in os.walk(source_folder, onerror=keeping.fail):
        target = Path(part, os.path.relpath(root, source_folder))
        target.mkdir(mode=0o700)
        for file in division.of(root, files):
            source = os.path.join(root, file.name)
            if file.linked:
                os.link(source, target / file.name, follow_symlinks=False)
                linked += 1
            else:
                _copy(source, target / file.name)
                copied += file.size
        for name in [name for name in folders if os.path.islink(os.path.join(root, name))]:
            _copy(os.path.join(root, name), target / name)
        _same_access(root, target)
    machine.run(["sync", "--file-system", str(part)], timeout=30)
    os.rename(part, aside)
    sync_folder(aside.parent)
    return {"linked": linked, "copied_bytes": copied}


def _copy(source: str, target: Path) -> None:
    if os.path.islink(source) or os.path.isfile(source):
        shutil.copy2(source, target, follow_symlinks=False)
        status = os.lstat(source)
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)


def _same_access(source: str, target: Path) -> None:
    shutil.copystat(source, target)
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)


def _restore(folder: str, left_folder: Path) -> bool:
    """Rename the folder to `left_folder` and the copy to the folder; returns whether `left_folder` exists.

    Safe to repeat after an interruption at any point.
    """
    aside, data_folder = _aside(folder), Path(os.path.realpath(folder))
    if aside.exists():
        if data_folder.exists():
            delete(left_folder)
            os.rename(data_folder, left_folder)
        os.rename(aside, data_folder)
    delete(_part(folder))
    return left_folder.exists()


def delete(path: Path) -> None:
    """Delete a tree as far as that is possible."""
    shutil.rmtree(path, ignore_errors=True)
