"""What the control groups of some processes hold in memory: the kernel's own account, or their processes' sum."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from ..system.sockets import cgroup_of
from ..wire.soak import Memory

_GROUPS = Path("/sys/fs/cgroup")
_HELD = ("RssAnon:", "RssShmem:", "VmSwap:")  # of /proc/PID/status, in KiB


def of_groups(pids: Iterable[int], groups: Path = _GROUPS) -> dict[int, Memory]:
    """Process → what its whole control group holds. A process that is gone is left out.

    Where the kernel does not account for memory by version 2 groups (`memory.current` is missing), the group's
    processes are summed up.
    """
    places = {pid: place for pid in pids if pid and (place := cgroup_of(pid))}
    found = {pid: memory for pid, place in places.items() if (memory := _accounted(groups / place.lstrip("/")))}
    rest = {pid: place for pid, place in places.items() if pid not in found}
    return {**found, **(_summed(rest) if rest else {})}


def _accounted(group: Path) -> Memory | None:
    """By the kernel's account: MemoryCurrent, parted by memory.stat into what can be reclaimed and what can't.

    The page cache of a database's files is charged to its group and grows up to the limit: that is no leak.
    Shared memory counts as a file there, but is nowhere else. What is swapped out is held all the same.
    """
    try:
        current = int((group / "memory.current").read_text())
        lines = (line.split() for line in (group / "memory.stat").read_text().splitlines())
        stat = {name: int(value) for name, value in lines}
        swap = group / "memory.swap.current"  # missing where the kernel does not account for it
        swapped = int(swap.read_text()) if swap.exists() else 0
    except (OSError, ValueError):
        return None
    cached = stat.get("file", 0) - stat.get("shmem", 0) + stat.get("slab_reclaimable", 0)
    return Memory(max(0, current - cached) + swapped, cached)


def _summed(places: dict[int, str]) -> dict[int, Memory]:
    """By the processes: anonymous and shared memory, swapped out or not; a page counts in every process that has it."""
    sums = dict.fromkeys(places, 0)
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        group = cgroup_of(int(name))
        for pid, place in places.items():
            # Below the root is everything, so there only the process itself is counted.
            if int(name) == pid or (place != "/" and f"{group}/".startswith(f"{place}/")):
                sums[pid] += _resident(name)
    return {pid: Memory(held) for pid, held in sums.items() if held}


def _resident(pid: str) -> int:
    with contextlib.suppress(OSError):  # it ended meanwhile
        fields = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return sum(int(words[1]) * 1024 for words in fields if words and words[0] in _HELD)
    return 0
