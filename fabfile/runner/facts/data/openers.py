"""Who has a data directory in use, containers of any name and stray processes included: /proc alone knows.

That is who has a file below it open, and who lives in a mount namespace that was given just this directory, or a part
of it, as a container is: NATS, for one, has no file open while it has nothing to write. A namespace has the directory
at a place of its own (proc_pid_mountinfo(5)), with which the files that its processes have open are compared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...system.sockets import cgroup_of
from ...wire.data import Opener

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


def openers(folders: Sequence[str], proc: Path = Path("/proc")) -> tuple[Opener, ...]:
    """The processes that have one of the folders in use.

    Who ends meanwhile is left out, and so is this process with what it runs, a find(1) for one. Needs root, who alone
    may look at everybody.
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
    """Whether this process started that one, or whoever did; proc_pid_stat(5). One that is gone is nobody's."""
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            pid = int((proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return True
    return False


def is_mount_point(path: str, proc: Path = Path("/proc")) -> bool:
    """Whether something is mounted just there, bind mounts of the same file system included. Raises OSError."""
    return any(mount.point == path for mount in _mounts(proc / "self" / "mountinfo"))


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
            found[folder] = (mount.device, _joined(mount.root, path[len(mount.point.rstrip("/")) :]))
    return found


def _seen_at(
    mounts: Iterable[_Mount], places: dict[str, tuple[str, str]], inherited: Collection[_Mount]
) -> list[_Place]:
    """Where a namespace has the folders, or something within them.

    What it only `inherited` from this one was not given to it: a volume that is mounted just there is everybody's.
    """
    found = []
    for mount in mounts:
        for folder, (device, inside) in places.items():
            if mount.device != device:
                continue
            if _below(inside, mount.root):
                path = _joined(mount.point, inside[len(mount.root.rstrip("/")) :])
                found.append(_Place(folder, path, given=inside == mount.root and mount not in inherited))
            elif _below(mount.root, inside):
                found.append(_Place(folder, mount.point, given=mount not in inherited))
    return found


def _used(process: Path, places: Sequence[_Place]) -> str:
    """The folder that a process has in use; empty when none. Raises OSError when the process is gone."""
    given = [place.folder for place in places if place.given]
    if given or not places:
        return given[0] if given else ""
    for link in os.listdir(process / "fd"):
        try:
            target = os.readlink(process / "fd" / link)
        except OSError:
            continue
        for place in places:
            if _below(target, place.path):
                return place.folder
    return ""


def _mounts(file: Path) -> list[_Mount]:
    lines = (line.split(" ") for line in file.read_text(errors="surrogateescape").splitlines())
    return [_Mount(words[2], _plain(words[3]), _plain(words[4])) for words in lines if len(words) > 4]


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def _joined(first: str, rest: str) -> str:
    return os.path.normpath(f"{first.rstrip('/')}/{rest.lstrip('/')}")


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return ""
