"""Finds the processes that use a data directory, in containers of any name or beside them, from /proc.

A process uses it if it has a file below it open for writing, or mapped so into memory; if it is a server with this
working directory (Redis); or if its mount namespace was given just this directory, or a part of it, as a container's
is: NATS, for one, has no file open while it has nothing to write. Processes that only read, as a backup or a monitoring
agent, do not count. A namespace may have the directory at another path (proc_pid_mountinfo(5)): what its processes have
open is compared with that path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...system import procs
from ...system.sockets import cgroup_of
from ...wire.data import Opener

_SHARED = re.compile(rb"^[0-9a-f-]+ .w.s (?:\S+ +){3}(/.+)$", re.MULTILINE)  # a line of maps: shared, and written to
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class _Place:
    """Where a namespace has a folder, and whether it was given just that, or a part of it."""

    folder: str
    path: str
    given: bool


@dataclass(frozen=True)
class _Mount:
    """A line of mountinfo: a part of a file system, and where it is mounted."""

    device: str
    root: str  # the part that is mounted, from the root of its file system
    point: str
    read_only: bool = False


def openers(folders: Sequence[str], proc: Path = Path("/proc")) -> tuple[Opener, ...]:
    """The processes that have one of the folders in use.

    Left out are processes that end meanwhile, this one, and what it runs, as a find(1). Needs root: only root may read
    every process.
    """
    places = _places(folders, proc)
    inherited = frozenset(_mounts(proc / "self" / "mountinfo"))
    seen: dict[str, list[_Place]] = {}
    found = []
    for entry in os.listdir(proc):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            namespace = os.readlink(proc / entry / "ns" / "mnt")
            if namespace not in seen:
                seen[namespace] = _seen_at(_mounts(proc / entry / "mountinfo"), places, inherited)
            used = _used(proc / entry, seen[namespace])
        except OSError:
            continue
        if used and not _of_ours(proc, int(entry)):
            found.append(Opener(used, int(entry), _command(proc / entry), cgroup_of(int(entry))))
    return tuple(found)


def _of_ours(proc: Path, pid: int) -> bool:
    """Whether this process started that one, or whoever did; also of one that is gone, which uses nothing any more."""
    while pid > 1:
        if pid == os.getpid():
            return True
        entry = procs.process(pid, proc)
        if entry is None:
            return True
        pid = entry.parent
    return False


def mounts_at(path: str, proc: Path = Path("/proc")) -> int:
    """How many mounts lie at just that path, bind mounts of the same file system included. Raises OSError."""
    return sum(mount.point == path for mount in _mounts(proc / "self" / "mountinfo"))


def mounts_apart(path: str, proc: Path = Path("/proc")) -> int:
    """The same without read-only mounts of a place over itself, as the seal is. Raises OSError."""
    mounts, apart = _mounts(proc / "self" / "mountinfo"), 0
    for position, mount in enumerate(mounts):
        if mount.point == path:
            before = [one for one in mounts[:position] if _below(path, one.point)]
            under = max(before, key=lambda one: len(one.point), default=None)
            own = under and (under.device, _joined(under.root, _rest(path, under.point))) == (mount.device, mount.root)
            apart += not (own and mount.read_only)
    return apart


def mounts_below(folders: Sequence[str], proc: Path = Path("/proc")) -> tuple[str, ...]:
    """What is mounted somewhere within the folders, and not at one of them. Raises OSError."""
    real = [os.path.realpath(folder) for folder in folders]
    points = [mount.point for mount in _mounts(proc / "self" / "mountinfo")]
    return tuple(point for point in points if any(point != folder and _below(point, folder) for folder in real))


def _places(folders: Iterable[str], proc: Path) -> dict[str, tuple[str, str]]:
    """Folder → its device and its path within that file system."""
    mounts = _mounts(proc / "self" / "mountinfo")
    found = {}
    for folder in folders:
        path = os.path.realpath(folder)
        over = [mount for mount in mounts if _below(path, mount.point)]
        if over:
            mount = max(over, key=lambda one: len(one.point))  # of two at one point the later one hides the other
            mount = [one for one in over if one.point == mount.point][-1]
            found[folder] = (mount.device, _joined(mount.root, _rest(path, mount.point)))
    return found


def _seen_at(
    mounts: Iterable[_Mount], places: dict[str, tuple[str, str]], inherited: Collection[_Mount]
) -> list[_Place]:
    """Where a namespace has the folders, or something within them.

    A mount counts as given to the namespace only if it is not one that this namespace has as well (`inherited`): if
    /srv/redis is a volume of its own, each service's namespace has it mounted at /srv/redis, and uses nothing by that.
    Nor does a mount count that came along with one above it, as /host/srv/redis with a recursive bind of / to /host.
    """
    seen = []
    mounts = list(mounts)
    for mount in mounts:
        for folder, (device, inside) in places.items():
            if mount.device != device:
                continue
            given = not (mount in inherited or mount.read_only or _came_along(mount, mounts, inherited))
            if _below(inside, mount.root):
                path = _joined(mount.point, _rest(inside, mount.root))
                seen.append(_Place(folder, path, given=given and inside == mount.root))
            elif _below(mount.root, inside):
                seen.append(_Place(folder, mount.point, given))
    return seen


def _came_along(mount: _Mount, mounts: Sequence[_Mount], inherited: Collection[_Mount]) -> bool:
    """Whether a volume is there only because all that is above its place here is there, as by a recursive bind of /."""
    here = {one.point for one in inherited if (one.device, one.root) == (mount.device, mount.root)}
    return any(
        _joined(_joined(parent.point, _rest(copy.root, parent.root)), _rest(mount.point, copy.point)) in here
        for copy in mounts
        for parent in inherited
        if copy != mount and copy.device == parent.device
        if _below(copy.root, parent.root) and _below(mount.point, copy.point)
    )


def _used(process: Path, places: Sequence[_Place]) -> str:
    """The folder that a process has in use; empty when none. Raises OSError when the process is gone."""
    given = [place.folder for place in places if place.given]
    if given or not places:
        return given[0] if given else ""
    serves = False
    for number in os.listdir(process / "fd"):
        try:
            target = os.readlink(process / "fd" / number)
            serves = serves or target.startswith("socket:")
            for place in places:
                if _below(target, place.path) and _writes(process / "fdinfo" / number):
                    return place.folder
        except OSError:
            continue
    mapped = _mapped(process, places)
    if mapped:
        return mapped
    # A shell in which somebody has changed to it has no socket.
    directory = os.readlink(process / "cwd") if serves else ""
    return next((place.folder for place in places if directory and _below(directory, place.path)), "")


def _mapped(process: Path, places: Sequence[_Place]) -> str:
    """The folder with a file whose pages it shares and may write, its descriptor closed or not; proc_pid_maps(5)."""
    for file in _SHARED.findall((process / "maps").read_bytes()):
        path = _plain(os.fsdecode(file))
        folder = next((place.folder for place in places if _below(path, place.path)), "")
        if folder:
            return folder
    return ""


def _writes(file: Path) -> bool:
    """Whether an open file was opened for writing; proc_pid_fdinfo(5)."""
    flags = re.search(r"^flags:\s*([0-7]+)", file.read_text(), re.MULTILINE)
    return flags is not None and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY


def _mounts(file: Path) -> list[_Mount]:
    lines = (line.split(" ") for line in file.read_text(errors="surrogateescape").splitlines())
    return [
        _Mount(words[2], _plain(words[3]), _plain(words[4]), "ro" in words[5].split(","))
        for words in lines
        if len(words) > 5
    ]


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def _joined(first: str, rest: str) -> str:
    return os.path.normpath(f"{first.rstrip('/')}/{rest.lstrip('/')}")


def _rest(path: str, folder: str) -> str:
    """A path below a folder, from there."""
    return path[len(folder.rstrip("/")) :]


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""
