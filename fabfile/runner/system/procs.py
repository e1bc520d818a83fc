"""Reads processes from /proc/PID/stat, proc_pid_stat(5)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # a second
_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process: its state (a letter, as in ps), its parent, and when it started."""

    pid: int
    state: str
    parent: int
    ticks: int  # of the clock from the boot to its start: exact, so that it distinguishes processes with one number

    @property
    def started(self) -> float:
        """Seconds from the boot to its start."""
        return self.ticks / _TICKS

    @property
    def age(self) -> float:
        """Seconds since its start."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started

    @property
    def ended(self) -> bool:
        """Whether only its exit status is left."""
        return self.state in ("Z", "X")


def process(pid: int, proc: Path = _PROC) -> Process | None:
    """The process; None when it is gone."""
    try:
        text = (proc / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name may hold spaces and brackets: the fields start behind the last one.
    fields = text.rpartition(")")[2].split()
    return Process(pid, fields[0], int(fields[1]), int(fields[19]))


def descendants(root: int) -> dict[int, Process]:
    """Every process below `root`, itself included, by number; empty when it is gone."""
    processes = [process(int(folder.name)) for folder in _PROC.glob("[0-9]*")]
    children: dict[int, list[Process]] = {}
    for entry in processes:
        if entry:
            children.setdefault(entry.parent, []).append(entry)
    family = {entry.pid: entry for entry in processes if entry and entry.pid == root}
    pending = list(family)
    while pending:
        for child in children.get(pending.pop(), ()):
            if child.pid not in family:
                family[child.pid] = child
                pending.append(child.pid)
    return family


def title(pid: int) -> str:
    """A process's title, its arguments included; empty when it has ended."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()
