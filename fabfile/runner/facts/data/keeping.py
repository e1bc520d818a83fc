"""How a data directory is kept aside for the time of a hand-over, and what of it can't be."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...system.machine import os_error_text
from ...wire.data import Kept, Unkept
from .openers import mounts_apart

MOUNT_POINT = "it is a mount point, in whose place nothing can be put"
_ELSEWHERE = "it is on another file system than the folder above it, and a link can't lead there"
_MAX_COPIED_BYTES = 64 << 20  # of files that are written in place, while requests wait; the rest is linked


@dataclass(frozen=True)
class File:
    """A file of the directory: whether it is linked, and whether its server writes to it in place all the same."""

    name: str
    size: int
    linked: bool
    shared: bool = False


class Division:
    """Which files of a directory are linked and which copied; to be asked folder by folder."""

    def __init__(self, kept: Kept) -> None:
        self._kept, self._copied = kept, 0

    def of(self, root: str, names: Sequence[str]) -> Iterator[File]:
        """The files of one of its folders. Raises OSError."""
        safe = self._kept.linked(names)
        for name in names:
            size = os.lstat(os.path.join(root, name)).st_size
            large = name not in safe and self._copied + size > _MAX_COPIED_BYTES
            if not large and name not in safe:
                self._copied += size
            yield File(name, size, linked=large or name in safe, shared=large)


def unkept(kept: Sequence[Kept]) -> tuple[Unkept, ...]:
    """What of the directories can't be kept aside. Never raises: a server writes there meanwhile."""
    found = []
    for item in kept:
        try:
            one = _unkept(item)
        except OSError as error:
            one = Unkept(item.folder, os_error_text(error))
        if one.reason or one.shared:
            found.append(one)
    return tuple(found)


def _unkept(item: Kept) -> Unkept:
    folder = os.path.realpath(item.folder)
    if not os.path.isdir(folder):
        return Unkept(item.folder)
    if mounts_apart(folder):
        return Unkept(item.folder, MOUNT_POINT)
    if os.stat(folder).st_dev != os.stat(os.path.dirname(folder)).st_dev:
        return Unkept(item.folder, _ELSEWHERE)
    division = Division(item)
    return Unkept(item.folder, shared=sum(_shared(division, root, names) for root, _, names in os.walk(folder)))


def _shared(division: Division, root: str, names: Sequence[str]) -> int:
    try:
        return sum(file.size for file in division.of(root, names) if file.shared)
    except FileNotFoundError:  # deleted since it was listed
        return 0


def fail(error: OSError) -> None:
    """For os.walk, which otherwise leaves out what it can't read."""
    raise error
