"""What the operator's machine requests of services that run."""

from __future__ import annotations

from dataclasses import dataclass

from ..wire.codec import wire
from ..wire.facts import Workload


@wire
@dataclass(frozen=True)
class LogsRequest:
    """Whose log lines, and which of them. The workloads are those of both runtimes: the owner's count."""

    workloads: tuple[Workload, ...]
    project: str
    owner_file: str
    follow: bool = False  # go on with what is logged from now on
    since: float = 0.0  # not older than so many seconds; 0: however old
    lines: int = 0  # the last so many; 0: all
    pattern: str = ""  # regular expression that a line must contain


@wire
@dataclass(frozen=True)
class ExecRequest:
    """A command beside a service; `workloads` are the service in both runtimes: the owner's counts."""

    workloads: tuple[Workload, ...]
    project: str
    owner_file: str
    argv: tuple[str, ...]
    interactive: bool = False  # at a terminal
