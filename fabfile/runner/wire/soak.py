"""A soak as data: what is looked at, and what one look found."""

from __future__ import annotations

from dataclasses import dataclass, field

from .app import StreamsRef
from .codec import wire
from .edge import EdgeRef
from .facts import Workload
from .plan import Watch
from .terms import Owner


@wire
@dataclass(frozen=True)
class Soak:
    """What to look at, every how many seconds and for how many. The owner's workloads are chosen of both runtimes'."""

    id: str
    who: str
    seconds: float
    every: float
    workloads: tuple[Workload, ...]
    streams: StreamsRef
    edge: EdgeRef
    watch: tuple[Watch, ...]


@wire
@dataclass(frozen=True)
class Memory:
    """What a control group holds, in bytes: what it keeps, swapped out or not, and caches that the kernel can take."""

    held: int
    cached: int = 0


@wire
@dataclass(frozen=True)
class WorkloadSample:
    """A workload in one sample. `restarts` is systemd's or Docker's own counter, `pid` its main process, or 0."""

    ok: bool
    text: str
    pid: int = 0
    restarts: int = 0
    memory: Memory | None = None  # None where nothing runs


@wire
@dataclass(frozen=True)
class ConsumerLag:
    """How many messages a durable has before it, and how many it has had more than once."""

    pending: int
    unacknowledged: int
    redelivered: int

    @property
    def behind(self) -> int:
        """Messages that are not acknowledged yet, delivered or not."""
        return self.pending + self.unacknowledged


@wire
@dataclass(frozen=True)
class Asked:
    """Requests to one watched address since the sample before, and how many of them failed."""

    requests: int
    failures: int


@wire
@dataclass(frozen=True)
class Served:
    """Lines of a host's access log at the edge since the sample before, and how many of them tell a 5xx."""

    answers: int
    errors: int


@wire
@dataclass(frozen=True)
class Sample:
    """One look at everything, `at` seconds after the soak began. Edge and logs are keyed by domain."""

    at: float
    owner: Owner  # empty where nobody owns or it cannot be told
    boot: str  # identifies the boot: counters and processes begin anew with it
    workloads: dict[str, WorkloadSample] = field(default_factory=dict)
    durables: dict[str, ConsumerLag] = field(default_factory=dict)
    edge: dict[str, Asked] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)  # without the hosts whose log cannot be read
    problems: tuple[str, ...] = ()  # what could not be looked at
