"""The proof that a hand-over lost nothing: what each server holds is counted before it stops and after the next starts.

Until the comparison has passed, the data as it was is kept aside, and the new servers are killed, not stopped, if the
plan is reverted: a Redis that started empty would save that on its way out.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..facts.data.holding import holdings
from ..facts.data.openers import is_mount_point
from ..system.files import put, sync_folder
from ..system.machine import Evidence, Machine, Observation, StepFailed, words
from ..wire.codec import decode, encode, wire
from ..wire.data import DataRef, Holding, losses, totals
from .base import Action
from .before import Before

_COUNTED, _PROVEN = "holdings.json", "data-proven"  # in the plan's own backups
_COPIED = 64 << 20  # bytes of what could be written in place that are copied while requests wait; the rest is linked


def proven(machine: Machine) -> bool:
    """Whether this plan has shown that the new servers hold all that the former ones held."""
    return (machine.backups / _PROVEN).exists()


@wire
@dataclass(frozen=True)
class CountData(Action):
    """Counts what the servers hold, and keeps the figures. With `must` a server that can't be asked stops the plan."""

    refs: tuple[DataRef, ...]
    must: bool

    def apply(self, machine: Machine, before: Before) -> Evidence:
        found = {key.partition("/")[2]: holding for key, holding in holdings(machine, self.refs).items()}
        unknown = {name: holding.problem for name, holding in found.items() if holding.problem}
        if unknown and self.must:
            raise StepFailed("; ".join(unknown.values()))
        text = json.dumps({name: encode(holding) for name, holding in found.items() if not holding.problem})
        put(machine.backups / _COUNTED, text.encode(), 0o600, "root", "root")
        uncounted = {name: holding.problem for name, holding in found.items() if holding.problem}
        return {"held": _figures(found), **({"not_counted": uncounted} if uncounted else {})}

    def describe(self) -> str:
        return "count what " + ", ".join(ref.name for ref in self.refs) + " hold"


@wire
@dataclass(frozen=True)
class CompareData(Action):
    """Counts again where the servers run now, until all that was counted before is there. Raises StepFailed."""

    refs: tuple[DataRef, ...]
    timeout: float = 10.0  # seconds; a server that has just started may still be reading

    def apply(self, machine: Machine, before: Before) -> Evidence:
        former = _counted(machine)
        found: dict[str, Holding] = {}

        def compare() -> Observation:
            asked = tuple(ref for ref in self.refs if ref.name in former)
            found.update((key.partition("/")[2], holding) for key, holding in holdings(machine, asked).items())
            lost = [f"{name}: {what}" for name in former for what in losses(former[name], found[name])]
            return Observation(not lost, f"data is missing after the hand-over: {'; '.join(lost)}")

        machine.until(compare, self.timeout)
        put(machine.backups / _PROVEN, b"", 0o600, "root", "root")
        before, after = _figures(former), _figures(found)
        rows = [[name, what, before[name][what], after[name].get(what, 0)] for name in before for what in before[name]]
        return {"handed_over": rows}

    def describe(self) -> str:
        return "compare what " + ", ".join(ref.name for ref in self.refs) + " hold now"


@wire
@dataclass(frozen=True)
class Kept:
    """A data directory, and which of its files are only ever replaced as a whole, so that a link keeps them."""

    folder: str
    replaced: tuple[str, ...]  # patterns of names


@wire
@dataclass(frozen=True)
class KeepAside(Action):
    """Keeps the stopped servers' data as it is, beside it: links, and copies of what a server writes in place.

    Put back as a whole unless the comparison has passed. Where a folder can't be kept the evidence says why.
    """

    kept: tuple[Kept, ...]

    def apply(self, machine: Machine, before: Before) -> Evidence:
        found: Evidence = {}
        for item in self.kept:
            try:
                found[item.folder] = _keep(machine, item)
                put(_kept(machine, item.folder), b"", 0o600, "root", "root")
            except (OSError, StepFailed) as error:
                _discard(_part(item.folder))
                found[item.folder] = f"not kept: {words(error)}"
        return {"kept": found}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        if proven(machine):
            self.discard()
            return {"restored": []}
        # What another plan left beside the data is older than the data.
        own = [item.folder for item in self.kept if _kept(machine, item.folder).exists()]
        return {"restored": [folder for folder in own if _put_back(Path(folder))]}

    def discard(self) -> None:
        """Delete what is kept aside. What can't be deleted stays beside the data; nothing reads it."""
        for item in self.kept:
            _discard(_aside(item.folder))

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


def _counted(machine: Machine) -> dict[str, Holding]:
    try:
        found = json.loads((machine.backups / _COUNTED).read_text())
    except (OSError, ValueError) as error:
        raise StepFailed(f"what the servers held before can't be read: {error}") from error
    return {name: decode(holding) for name, holding in found.items()}


def _figures(found: dict[str, Holding]) -> dict[str, dict[str, int]]:
    return {name: dict(totals(holding)) for name, holding in found.items() if not holding.problem}


def _kept(machine: Machine, folder: str) -> Path:
    """Stands in the plan's backups once its copy of the folder is whole."""
    return machine.backups / ("kept" + folder.replace("/", "-"))


def _aside(folder: str) -> Path:
    """Beside the folder itself, wherever a link leads: only on one file system has a file two names."""
    path = Path(os.path.realpath(folder))
    return path.with_name(f".{path.name}.kept-by-islandflow")


def _part(folder: str) -> Path:
    aside = _aside(folder)
    return aside.with_name(f"{aside.name}.part")


def _keep(machine: Machine, item: Kept) -> dict[str, int]:
    """Make the second tree: whole and on the disk, or not at all. A power cut must not leave empty copies."""
    aside, part = _aside(item.folder), _part(item.folder)
    _discard(part)
    _discard(aside)
    source_folder = os.path.realpath(item.folder)
    if not os.path.isdir(source_folder):
        return {"linked": 0, "copied_bytes": 0}
    if is_mount_point(source_folder):
        raise OSError("it is a mount point, in whose place nothing can be put")
    linked = copied = 0
    for root, folders, files in os.walk(source_folder, onerror=_raise):
        target = Path(part, os.path.relpath(root, source_folder))
        target.mkdir(mode=0o700)
        for name in files:
            source = os.path.join(root, name)
            size = os.lstat(source).st_size
            if any(fnmatch.fnmatch(name, pattern) for pattern in item.replaced) or copied + size > _COPIED:
                os.link(source, target / name, follow_symlinks=False)
                linked += 1
            else:
                _copy(source, target / name)
                copied += size
        for name in [name for name in folders if os.path.islink(os.path.join(root, name))]:
            _copy(os.path.join(root, name), target / name)
        _same_access(root, target)
    machine.run(["sync", "--file-system", str(part)], timeout=30)
    os.rename(part, aside)
    sync_folder(aside.parent)
    return {"linked": linked, "copied_bytes": copied}


def _raise(error: OSError) -> None:
    raise error


def _copy(source: str, target: Path) -> None:
    if os.path.islink(source) or os.path.isfile(source):
        shutil.copy2(source, target, follow_symlinks=False)
        status = os.lstat(source)
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)


def _same_access(source: str, target: Path) -> None:
    shutil.copystat(source, target)
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)


def _put_back(folder: Path) -> bool:
    """Put the kept tree in the place of what stands there; in steps of which each may be the last of a cut-off run."""
    aside, folder = _aside(str(folder)), Path(os.path.realpath(folder))
    lost = folder.with_name(f".{folder.name}.lost-by-islandflow")
    if aside.exists():
        if folder.exists():
            _discard(lost)
            os.rename(folder, lost)
        os.rename(aside, folder)
    there = lost.exists()
    _discard(lost)
    _discard(_part(str(folder)))
    return there


def _discard(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
