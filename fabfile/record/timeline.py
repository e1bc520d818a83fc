"""The course of a plan: what each step did and when, for a timeline."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fabfile.runner.wire.events import Event

_FINGERPRINT = re.compile(r"\b([0-9a-f]{10})[0-9a-f]{54}\b")  # a SHA-256: its start tells two apart

# Of a step's evidence: what is told elsewhere, or only a program can use.
_APART = ("diffs", "verified", "what", "before", "error", "logs", "hold", "held", "handed_over")


@dataclass(frozen=True)
class Span:
    """Something that took time, in seconds since the course began. `kind`: done, failed, undone, stuck or cut off.

    `text` is what went wrong in it, or what was seen in its end.
    """

    kind: str
    began: float
    seconds: float
    text: str = ""


@dataclass(frozen=True)
class Stage:
    """A step that acted, or that is about to: what it does, and its spans, the way back last."""

    name: str
    what: str
    spans: tuple[Span, ...]
    error: str = ""
    verified: tuple[str, ...] = ()
    evidence: tuple[tuple[str, str], ...] = ()

    @property
    def seconds(self) -> float:
        """How long it took, its way back included."""
        return sum(span.seconds for span in self.spans)

    @property
    def kind(self) -> str:
        """How it ended: the kind of its last span."""
        return self.spans[-1].kind


@dataclass(frozen=True)
class Course:
    """One run of a plan: when it began (ISO 8601), its stages, and the steps that had nothing to do, with why.

    `hold` is from when until when requests waited (seconds), or empty; `waited` is the same for the operator's word.
    """

    began: str
    seconds: float
    reverting: bool
    stages: tuple[Stage, ...]
    settled: tuple[tuple[str, str], ...]
    hold: tuple[float, ...] = ()
    waited: tuple[float, ...] = ()


def course(events: Sequence[Event]) -> Course:
    """What the events of one run tell of its course."""
    clock = _Clock(events)
    names = dict.fromkeys(e.step for e in events if e.step and e.kind != "noop")
    return Course(
        began=events[0].time,
        seconds=clock.end,
        reverting=bool(events[0].evidence.get("reverting")),
        stages=tuple(_stage(name, [e for e in events if e.step == name], clock) for name in names),
        settled=tuple((e.step, e.evidence["why"]) for e in events if e.step and e.kind == "noop"),
        hold=_hold(events, clock),
        waited=_waited(events, clock),
    )


class _Clock:
    def __init__(self, events: Sequence[Event]) -> None:
        self._began = epoch(events[0])
        self.end = self(events[-1])

    def __call__(self, event: Event) -> float:
        """Seconds since the course began."""
        return round(epoch(event) - self._began, 3)


def _stage(name: str, events: Sequence[Event], clock: _Clock) -> Stage:
    details: dict[str, Any] = {}
    for event in events:
        details.update(event.evidence)
    wrong = [e.evidence for e in events if e.kind in ("failed", "stuck")]
    return Stage(
        name=name,
        what=details.get("what", ""),
        spans=tuple(_spans(events, clock)),
        error="; ".join(str(one.get("error", "")) for one in wrong),
        verified=tuple(text for e in events for text in e.evidence.get("verified", ())),
        evidence=tuple((key, _plain(value)) for key, value in details.items() if key not in _APART and value),
    )


def _spans(events: Sequence[Event], clock: _Clock) -> Iterator[Span]:
    """A span for each beginning; one without an end was cut off."""
    begun: float | None = None
    for event in events:
        if event.kind in ("start", "undo"):
            begun = clock(event)
        else:
            at = clock(event)
            took = 0.0 if begun is None else round(at - begun, 3)
            yield Span(event.kind, at if begun is None else begun, took, _words(event.evidence))
            begun = None
    if begun is not None:
        yield Span("cut off", begun, round(clock.end - begun, 3))


def _words(evidence: Mapping[str, Any]) -> str:
    return str(evidence.get("error", "")) or "; ".join(evidence.get("verified", ()))


def _hold(events: Sequence[Event], clock: _Clock) -> tuple[float, ...]:
    """From pointing the edge to the parking lot until the parked are let go, by the plan or by its revert."""
    begins = next((e for e in events if e.kind == "start" and e.evidence.get("hold") == "begins"), None)
    if begins is None:
        return ()
    ends = [
        event
        for event in events
        if (event.kind == "done" and event.evidence.get("hold") == "ends")
        or (event.kind == "undone" and event.step == begins.step)
    ]
    return (clock(begins), clock(ends[0]) if ends else clock.end)


def _waited(events: Sequence[Event], clock: _Clock) -> tuple[float, ...]:
    for event, following in zip(events, [*events[1:], events[-1]], strict=True):
        if event.kind == "waiting":
            return (clock(event), clock(following))
    return ()


def _plain(value: Any) -> str:
    """Evidence as one line of words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return _FINGERPRINT.sub(r"\1…", str(value))


def epoch(event: Event) -> float:
    """When an event was written, in seconds since 1970."""
    return datetime.datetime.fromisoformat(event.time).timestamp()
