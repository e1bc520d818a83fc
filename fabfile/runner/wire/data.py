"""The contents of a server, as data: counted before a hand-over and compared after it."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .app import Environment
from .codec import wire


@wire
@dataclass(frozen=True)
class DataRef:
    """How to count what one runtime's server holds. `folder` is the directory that both runtimes share."""

    name: str  # redis, nats, clickhouse
    runtime: str
    port: int
    port_key: str  # the key of the inventory that holds the port, for messages
    folder: str
    environment: Environment  # whose REDIS_URL, NATS_URL or CLICKHOUSE_URL logs in
    project: str = ""  # Compose project, for docker
    monitor: int = 0  # port of NATS' monitoring


@wire
@dataclass(frozen=True)
class Count:
    """How much there is of something, and how much of it must still be there after a hand-over.

    The two differ where a server may drop some by itself meanwhile: keys that expire, rows that are merged. With
    `may_vanish` nothing is wrong where even the name is gone: a database of Redis is there only while it has keys.
    """

    amount: int
    least: int
    may_vanish: bool = False


@wire
@dataclass(frozen=True)
class Holding:
    """What a server holds, by name ("db0", "stream PRINTS", "default.prints"), and where it keeps it.

    `elsewhere` says why its data is not, or not as a whole, in the directory that the other runtime will open;
    `unreadable` why the other runtime's server, which has another configuration, could not read what is there;
    `volatile` names what is in memory alone, which no restart keeps, a hand-over's neither.
    """

    counts: dict[str, Count] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)  # by which it persists, and those that an app may depend on
    elsewhere: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    volatile: tuple[str, ...] = ()
    product: str = ""  # of Redis: itself, or the fork that it is
    used: int = 0  # of Redis: bytes of memory that its data takes
    problem: str = ""  # why it can't be counted
    down: bool = False  # it does not run, which its health reports


def losses(before: Holding, after: Holding) -> list[str]:
    """What `after` lacks of what `before` must still have, in words; nothing when all is there."""
    if after.problem:
        return [after.problem]
    missing = []
    for name, count in before.counts.items():
        now = after.counts.get(name)
        gone = now is None and (count.least > 0 or not count.may_vanish)
        if gone or (now is not None and now.amount < count.least):
            missing.append(f"{name}: {_amount(count)} before, {now.amount if now else 'nothing'} now")
    return missing


def totals(holding: Holding) -> Mapping[str, int]:
    """The amounts by name, for journal and record."""
    return {name: count.amount for name, count in holding.counts.items()}


def _amount(count: Count) -> str:
    return str(count.amount) if count.least == count.amount else f"{count.amount} (at least {count.least} must stay)"


@wire
@dataclass(frozen=True)
class Opener:
    """A process that has a folder in use: a file below it open, or it was given the folder as a container is."""

    folder: str
    pid: int
    command: str
    cgroup: str

    def __str__(self) -> str:
        who = f"{self.command or 'a process'} (pid {self.pid}, {self.cgroup or 'no control group'})"
        return f"{who} has {self.folder} in use"


@wire
@dataclass(frozen=True)
class Kept:
    """A data directory, and patterns of the files for which a link is a copy.

    Some are only ever replaced as a whole. Of those that are numbered, the last in each folder still grows.
    """

    folder: str
    replaced: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()

    def linked(self, names: Sequence[str]) -> set[str]:
        """Return those of a folder's files."""
        replaced = {name for pattern in self.replaced for name in fnmatch.filter(names, pattern)}
        numbered = [name for pattern in self.numbered for name in fnmatch.filter(names, pattern)]
        return replaced | set(sorted(numbered, key=lambda name: (len(name), name))[:-1])


@wire
@dataclass(frozen=True)
class Unkept:
    """Why a data directory, or a part of it, can't be kept as it is for the time of a hand-over."""

    folder: str
    reason: str = ""  # why nothing of it can be
    shared: int = 0  # bytes in files that are too large to copy, and that a server writes to in place
