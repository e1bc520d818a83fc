"""Measures the memory of processes' control groups: by the kernel's own account, or by the sum of their processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...system.sockets import cgroup_of
from ...wire.facts import Health
from ...wire.soak import Memory

_GROUPS = Path("/sys/fs/cgroup")
_FIELDS = ("RssAnon:", "RssShmem:", "VmSwap:")  # of /proc/PID/status, in KiB


def memory_of(pids: Iterable[int], groups: Path = _GROUPS) -> dict[int, Memory]:
    """Return process → memory of its whole control group, without the processes that are gone.

    Where the kernel does not account for memory by version 2 groups (`memory.current` is missing), the group's
    processes are summed up.
    """
    cgroups = {pid: cgroup for pid in pids if pid and (cgroup := cgroup_of(pid))}
    accounted = {
        pid: memory for pid, cgroup in cgroups.items() if (memory := _from_kernel(groups / cgroup.lstrip("/")))
    }
    others = {pid: cgroup for pid, cgroup in cgroups.items() if pid not in accounted}
    return {**accounted, **(_from_processes(others) if others else {})}


def of_workloads(health: Mapping[str, Health]) -> dict[str, int]:
    """Return what each workload with a process holds, without caches (bytes), by "runtime/name"."""
    memory = memory_of(verdict.pid for verdict in health.values())
    return {key: memory[verdict.pid].held for key, verdict in health.items() if verdict.pid in memory}


def _from_kernel(group: Path) -> Memory | None:
    """Return the kernel's account: memory.current, divided by memory.stat into what can be reclaimed and what can't.

    The page cache of a database's files is charged to its group and grows up to the limit: that is no leak.
    Shared memory counts as a file there, but is nowhere else. What is swapped out counts all the same.
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


def _from_processes(cgroups: dict[int, str]) -> dict[int, Memory]:
    """Return the processes' sums of anonymous and shared memory, swapped out or not; shared pages count repeatedly."""
    sums = dict.fromkeys(cgroups, 0)
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        group = cgroup_of(int(name))
        for pid, cgroup in cgroups.items():
            # Below the root is everything, so there only the process itself is counted.
            if int(name) == pid or (cgroup != "/" and f"{group}/".startswith(f"{cgroup}/")):
                sums[pid] += _resident(name)
    return {pid: Memory(size) for pid, size in sums.items() if size}


def _resident(pid: str) -> int:
    with contextlib.suppress(OSError):  # it ended meanwhile
        lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return sum(int(words[1]) * 1024 for words in lines if words and words[0] in _FIELDS)
    return 0
