"""Where log lines are: the journal of all native units, and each container's own log."""

from __future__ import annotations

import calendar
import itertools
import pwd
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable, NamedTuple, Union

from ..facts.logs import masked, secrets_of
from ..system import docker
from ..system.machine import Machine, StepFailed
from ..wire import shape
from ..wire.facts import Workload
from .programs import Programs

MAX_WIDTH = 1 << 14  # characters of a line that are shown
_FIELDS = ("_SYSTEMD_USER_UNIT", "USER_UNIT", "_SYSTEMD_UNIT", "UNIT")  # what a unit's processes log, and its manager
_JOURNALCTL = ("journalctl", "--no-pager", "--quiet", "--all", "--output=json")


class Entry(NamedTuple):
    """What a service logged, and when (epoch, seconds)."""

    time: float
    service: str
    text: str


Wanted = Callable[[Entry], bool]


@dataclass(frozen=True, eq=False)
class Journal:
    """The journal, for the units of native workloads."""

    programs: Programs
    workloads: Sequence[Workload]
    secrets: Mapping[str, Sequence[str]]  # by service

    def past(self, since: float, lines: int, matches: Wanted) -> Iterator[Entry]:
        """What was logged since a time (epoch, seconds) and matches, in order; with `lines` the last ones of it."""
        options = [f"--since=@{since:.6f}"] if since else []
        if not lines:
            return filter(matches, self._read(options))
        read = self._read([*options, "--reverse"])  # from the end, since a journal may be long
        return reversed(list(itertools.islice(filter(matches, read), lines)))

    def coming(self, since: float) -> Iterator[Entry]:
        """What is logged since a time (epoch, seconds), and from now on."""
        return self._read(["--follow", "--no-tail", f"--since=@{since:.6f}"])

    def _read(self, options: Sequence[str]) -> Iterator[Entry]:
        return map(self._entry, self.programs.lines([*_JOURNALCTL, *options, *self._matches()]))

    def _matches(self) -> list[str]:
        """The units' own lines, and those of the manager about them: alternatives, each with the user it belongs to."""
        words: list[str] = []
        for user in sorted({workload.user for workload in self.workloads}):
            units = [workload.unit for workload in self.workloads if workload.user == user]
            who = [f"_UID={pwd.getpwnam(user).pw_uid}"] if user else []
            for name in _FIELDS[:2] if user else _FIELDS[2:]:
                words += [*(["+"] if words else []), *(f"{name}={unit}" for unit in units), *who]
        return words

    def _entry(self, line: bytes) -> Entry:
        try:
            fields = shape.parse(line)
            at = int(fields["__REALTIME_TIMESTAMP"]) / 1e6
        except (ValueError, LookupError, TypeError):
            raise StepFailed(f"journalctl says: {line.decode(errors='replace').strip()[:200]}") from None
        names = {workload.unit: workload.name for workload in self.workloads}
        units = (unit for name in _FIELDS for unit in _values(fields.get(name)))
        service = next((names[unit] for unit in units if unit in names), "")
        text = "\n".join(_values(fields.get("MESSAGE")))
        return Entry(at, service, masked(text.rstrip("\n"), self.secrets.get(service, ()), MAX_WIDTH))


def _values(field: object) -> list[str]:
    """A field's texts. What is not UTF-8 comes as a list of bytes, and what an entry has twice as a list of both."""
    if isinstance(field, list) and field and all(isinstance(one, int) and 0 <= one < 256 for one in field):
        return [bytes(field).decode(errors="replace")]
    return [text for one in (field if isinstance(field, list) else [field]) for text in _text(one)]


def _text(value: object) -> list[str]:
    if isinstance(value, list):
        return _values(value)
    return [value] if isinstance(value, str) else []


@dataclass(frozen=True, eq=False)
class ContainerLog:
    """The log of a service's container, whichever it is at the time."""

    programs: Programs
    machine: Machine
    workload: Workload
    secrets: Sequence[str]

    def past(self, since: float, lines: int, matches: Wanted) -> Iterator[Entry]:
        """As `Journal.past`; there may be more than `lines`."""
        options = [f"--since={since:.6f}"] if since else []
        return filter(matches, self._read(options))

    def coming(self, since: float) -> Iterator[Entry]:
        """As `Journal.coming`, until the container stops."""
        return self._read(["--follow", f"--since={since:.6f}"])

    def _read(self, options: Sequence[str]) -> Iterator[Entry]:
        listed = docker.list_containers(self.machine, self.workload.project)
        names = {container.service: container.name for container in listed}
        if self.workload.name not in names:
            return iter(())
        lines = self.programs.lines(["docker", "logs", "--timestamps", *options, names[self.workload.name]])
        return map(self._entry, lines)

    def _entry(self, line: bytes) -> Entry:
        stamp, _, text = line.decode(errors="replace").rstrip("\r\n").partition(" ")
        try:
            whole, _, fraction = stamp.rstrip("Z").partition(".")
            at = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")
        except ValueError:
            raise StepFailed(f"docker logs says: {stamp} {text}"[:200].strip()) from None
        return Entry(at, self.workload.name, masked(text, self.secrets, MAX_WIDTH))


Source = Union[Journal, ContainerLog]


def sources(machine: Machine, workloads: Sequence[Workload], programs: Programs) -> tuple[list[Source], list[str]]:
    """Where the log lines of workloads of one runtime are, and the services of which there are none: no container."""
    containers = {w.project for w in workloads if w.runtime == "docker"}
    there = {item.service for project in containers for item in docker.list_containers(machine, project)}
    logging = [w for w in workloads if w.runtime == "native" or w.name in there]
    secrets = {workload.name: secrets_of(machine, workload) for workload in logging}
    native = [w for w in logging if w.runtime == "native"]
    found: list[Source] = [Journal(programs, native, secrets)] if native else []
    found += [ContainerLog(programs, machine, w, secrets[w.name]) for w in logging if w.runtime == "docker"]
    return found, [w.name for w in workloads if w not in logging]
