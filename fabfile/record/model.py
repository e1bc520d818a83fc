"""A record as data, built only from a plan's events and the checks during it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from fabfile.public import Check, mark
from fabfile.record.followups import Decision
from fabfile.record.timeline import Timeline, epoch, timeline
from fabfile.runner.wire.events import Event
from fabfile.terms import Owner, runtime_named

FORMAT: Final = 1  # of a record's JSON; one that is newer is refused in words


@dataclass(frozen=True)
class HostImpact:
    """The requests to one hostname all through the plan, with failures, longest wait and outage."""

    name: str
    requests: int
    failures: int
    longest_wait_ms: int
    outage_ms: int


@dataclass(frozen=True)
class TimeSlice:
    """All hostnames together, in a slice of the plan's time that begins at `at` (seconds)."""

    at: float
    requests: int
    failures: int
    longest_wait_ms: int


@dataclass(frozen=True)
class Outage:
    """From its first failed request to the next one that was served, in seconds of the plan."""

    name: str
    began: float
    seconds: float
    errors: str


@dataclass(frozen=True)
class Checked:
    """A check from outside: its mark (✓, ! or ✗), its name, and the evidence."""

    mark: str
    name: str
    text: str
    ms: int


@dataclass(frozen=True)
class Diff:
    """The change of a file, or of a row of the edge's database."""

    path: str
    lines: tuple[str, ...]

    @property
    def added(self) -> int:
        """Lines that are new."""
        return sum(line.startswith("+") for line in self.lines)

    @property
    def removed(self) -> int:
        """Lines that are gone."""
        return sum(line.startswith("-") for line in self.lines)


@dataclass(frozen=True)
class Amount:
    """How much a server held of something, before a hand-over and after it."""

    server: str
    name: str
    before: int
    after: int


@dataclass(frozen=True)
class HookRun:
    """A hook of the operator's on this machine: how it ended, in words, and the last lines that it printed."""

    name: str
    ok: bool
    ended: str
    seconds: float
    output: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """The contents of a record. Times are UTC, as in ISO 8601."""

    id: str
    name: str
    outcome: Literal["done", "nothing", "reverted", "stuck", "locked", "unfinished"]
    who: str
    host: str
    began: str
    seconds: float
    why: str  # the reason why it was reverted, or got stuck
    stuck_at: str
    settings: dict[str, str]
    versions: dict[str, str]
    held_seconds: float
    courses: tuple[Timeline, ...]
    impact: tuple[HostImpact, ...]
    slice_seconds: float
    moments: tuple[TimeSlice, ...]
    outages: tuple[Outage, ...]
    checks: tuple[Checked, ...]
    health: dict[str, str]
    diffs: tuple[Diff, ...]
    limitations: tuple[str, ...]
    decisions: tuple[Decision, ...] = ()
    version: int = FORMAT
    handed_over: tuple[Amount, ...] = ()  # what the servers held, as the comparison counted it
    lost: tuple[str, ...] = ()  # what was healthy before a plan that was reverted, and was not after it
    exposures: dict[str, float] = field(default_factory=dict)  # native unit → systemd's score, 0 (sealed off) to 10
    missing: tuple[str, ...] = ()  # of the data, after a plan that was reverted
    hooks: tuple[HookRun, ...] = ()

    @property
    def up(self) -> Owner:
        """The only runtime of which something is healthy at the end; empty where there is none or both are."""
        runtimes = {name.partition("/")[0] for name, text in self.health.items() if text == "healthy"}
        return runtime_named(runtimes.pop()) if len(runtimes) == 1 else ""

    @property
    def requests(self) -> int:
        """Requests of all hostnames."""
        return sum(host.requests for host in self.impact)

    @property
    def failures(self) -> int:
        """Those of them that failed."""
        return sum(host.failures for host in self.impact)

    @property
    def outage_seconds(self) -> float:
        """The longest outage of a hostname."""
        return max((host.outage_ms for host in self.impact), default=0) / 1000

    @property
    def longest_wait_seconds(self) -> float:
        """The longest wait of a request."""
        return max((host.longest_wait_ms for host in self.impact), default=0) / 1000


def document(
    events: Sequence[Event],
    checks: Iterable[Check] = (),
    limitations: Iterable[str] = (),
    decisions: Iterable[Decision] = (),
) -> Document:
    """The document of a plan that has begun. Raises ValueError where there is no event."""
    if not events:
        raise ValueError("a plan without an event has no record")
    first, last = events[0], events[-1]
    heading, ending = first.evidence, last.evidence if last.kind == "finished" else {}
    measured: Mapping[str, Any] = next((e.evidence for e in reversed(events) if e.evidence.get("impact")), {})
    judged = [Checked(mark(check), check.name, check.text, check.ms) for check in checks]
    return Document(
        id=first.plan,
        name=heading.get("name", ""),
        outcome=ending.get("outcome", "unfinished"),
        who=heading.get("who", ""),
        host=heading.get("host", ""),
        began=first.time,
        seconds=round(epoch(last) - epoch(first), 3),
        why=ending.get("why", ""),
        stuck_at=f"{ending['stuck_at']}: {ending['error']}" if "stuck_at" in ending else "",
        settings=dict(heading.get("settings", {})),
        versions=dict(heading.get("versions", {})),
        exposures=dict(heading.get("exposures", {})),
        held_seconds=measured.get("held_ms", 0) / 1000,
        courses=tuple(timeline(part) for part in _parts(events)),
        impact=tuple(
            HostImpact(name, t["requests"], t["failures"], t["longest_wait_ms"], t["outage_ms"])
            for name, t in measured.get("impact", {}).items()
        ),
        slice_seconds=_slice_seconds(measured),
        moments=tuple(_moments(measured)),
        outages=tuple(_outage(e, epoch(first)) for e in events if e.kind == "outage"),
        checks=tuple(judged),
        health=dict(ending.get("health", {})),
        diffs=tuple(_diffs(events)),
        limitations=(
            *heading.get("warnings", ()),
            *(f"{check.name}: {check.text}" for check in judged if check.mark == "!"),
            *limitations,
        ),
        decisions=tuple(decisions),
        handed_over=tuple(_amounts(events)),
        lost=tuple(ending.get("lost", ())),
        missing=tuple(ending.get("missing", ())),
    )


def _parts(events: Sequence[Event]) -> list[list[Event]]:
    """The events of each run: a plan that was interrupted is reverted by another one."""
    parts: list[list[Event]] = []
    for event in events:
        if not parts or (event.kind == "start" and not event.step):
            parts.append([])
        parts[-1].append(event)
    return parts


def _slice_seconds(measured: Mapping[str, Any]) -> float:
    return max((tally.get("slice_ms", 0) for tally in measured.get("impact", {}).values()), default=0) / 1000


def _moments(measured: Mapping[str, Any]) -> Iterable[TimeSlice]:
    series = [tally.get("over_time", ()) for tally in measured.get("impact", {}).values()]
    for number in range(max(map(len, series), default=0)):
        counts = [tallies[number] for tallies in series if number < len(tallies)]
        requests, failures = (sum(count[i] for count in counts) for i in (0, 1))
        at = round(number * _slice_seconds(measured), 3)
        yield TimeSlice(at, requests, failures, max(count[2] for count in counts))


def _outage(event: Event, began: float) -> Outage:
    """An outage is journaled as it ends."""
    evidence, seconds = event.evidence, event.evidence["lasted_ms"] / 1000
    errors = ", ".join(f"{count} × {error}" for error, count in evidence["errors"].items())
    return Outage(evidence["watch"], round(epoch(event) - began - seconds, 3), seconds, errors)


def _amounts(events: Sequence[Event]) -> list[Amount]:
    """The amounts of the last comparison that passed, if one did."""
    tables = [event.evidence["handed_over"] for event in events if event.evidence.get("handed_over")]
    return [Amount(*row) for row in tables[-1]] if tables else []


def _diffs(events: Sequence[Event]) -> Iterable[Diff]:
    """The diffs of the steps that were not undone; for each file the last one."""
    undone = {event.step for event in events if event.kind == "undone"}
    diffs: dict[str, Diff] = {}
    for event in events:
        if event.kind == "done" and event.step not in undone:
            for diff in event.evidence.get("diffs", ()):
                diffs[diff["path"]] = Diff(diff["path"], tuple(diff["lines"]))
    return diffs.values()
