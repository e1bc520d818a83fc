"""A soak as data: what is sampled, and the samples."""

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
    """What to sample, at which interval and for how long (seconds); of the workloads only the owner's are sampled."""

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
    """The memory of a control group in bytes: its own, swapped out or not, and caches that the kernel can reclaim."""

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
    """How many messages a durable has not received or acknowledged yet, and how many it received more than once."""

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
    """Lines of a host's access log at the edge since the sample before, and how many of them have a 5xx."""

    answers: int
    errors: int


@wire
@dataclass(frozen=True)
class Sample:
    """One sample of everything, `at` seconds after the soak began. Edge and logs are keyed by domain."""

    at: float
    owner: Owner  # empty where nobody owns the app or the owner is unknown
    boot: str  # identifies the boot: counters and processes begin anew with it
    workloads: dict[str, WorkloadSample] = field(default_factory=dict)
    durables: dict[str, ConsumerLag] = field(default_factory=dict)
    edge: dict[str, Asked] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)  # without the hosts whose log cannot be read
    problems: tuple[str, ...] = ()  # what could not be sampled, and why
