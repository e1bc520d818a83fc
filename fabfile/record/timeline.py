"""Builds the timeline of a plan's run: what each step did and when."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fabfile.runner.wire.events import Event

_FINGERPRINT = re.compile(r"\b([0-9a-f]{10})[0-9a-f]{54}\b")  # a SHA-256: its first digits suffice

# Of a step's evidence: what the page shows elsewhere, or only a program can use.
_EXCLUDED_EVIDENCE = ("diffs", "verified", "what", "before", "error", "logs", "hold", "held", "handed_over")


@dataclass(frozen=True)
class Span:
    """A part of a step's run, in seconds since the plan's run began. `kind`: done, failed, undone, stuck or cut off.

    `text` is its error, or what was verified at its end.
    """

    kind: str
    began: float
    seconds: float
    text: str = ""


@dataclass(frozen=True)
class StepRun:
    """A step that acted, or began to: what it does, and its spans, the undo last."""

    name: str
    what: str
    spans: tuple[Span, ...]
    error: str = ""
    verified: tuple[str, ...] = ()
    evidence: tuple[tuple[str, str], ...] = ()

    @property
    def seconds(self) -> float:
        """How long it took, its undo included."""
        return sum(span.seconds for span in self.spans)

    @property
    def kind(self) -> str:
        """How it ended: the kind of its last span."""
        return self.spans[-1].kind


@dataclass(frozen=True)
class Timeline:
    """One run of a plan: when it began (ISO 8601), its steps, and the no-ops with their reasons.

    `hold` is from when until when requests waited (seconds), or empty; `waited` is the same for the confirmation.
    """

    began: str
    seconds: float
    reverting: bool
    stages: tuple[StepRun, ...]
    no_ops: tuple[tuple[str, str], ...]
    hold: tuple[float, float] | tuple[()] = ()
    waited: tuple[float, float] | tuple[()] = ()


def timeline(events: Sequence[Event]) -> Timeline:
    """The timeline of one run, from its events."""
    clock = _Clock(events)
    steps = dict.fromkeys(e.step for e in events if e.step and e.kind != "noop")
    return Timeline(
        began=events[0].time,
        seconds=clock.end,
        reverting=bool(events[0].evidence.get("reverting")),
        stages=tuple(_step_run(name, [e for e in events if e.step == name], clock) for name in steps),
        no_ops=tuple((e.step, e.evidence["why"]) for e in events if e.step and e.kind == "noop"),
        hold=_hold(events, clock),
        waited=_waited(events, clock),
    )


class _Clock:
    def __init__(self, events: Sequence[Event]) -> None:
        self._began = epoch(events[0])
        self.end = self(events[-1])

    def __call__(self, event: Event) -> float:
        """Seconds since the run began."""
        return round(epoch(event) - self._began, 3)


def _step_run(name: str, events: Sequence[Event], clock: _Clock) -> StepRun:
    details: dict[str, Any] = {}
    for event in events:
        details.update(event.evidence)
    failures = [e.evidence for e in events if e.kind in ("failed", "stuck")]
    return StepRun(
        name=name,
        what=details.get("what", ""),
        spans=tuple(_spans(events, clock)),
        error="; ".join(str(failure.get("error", "")) for failure in failures),
        verified=tuple(text for e in events for text in e.evidence.get("verified", ())),
        evidence=tuple(
            (key, _as_text(value)) for key, value in details.items() if key not in _EXCLUDED_EVIDENCE and value
        ),
    )


def _spans(events: Sequence[Event], clock: _Clock) -> Iterator[Span]:
    """A span for each start and undo; one without an end was cut off."""
    began: float | None = None
    for event in events:
        if event.kind in ("start", "undo"):
            began = clock(event)
        else:
            at = clock(event)
            seconds = 0.0 if began is None else round(at - began, 3)
            yield Span(event.kind, at if began is None else began, seconds, _summary(event.evidence))
            began = None
    if began is not None:
        yield Span("cut off", began, round(clock.end - began, 3))


def _summary(evidence: Mapping[str, Any]) -> str:
    return str(evidence.get("error", "")) or "; ".join(evidence.get("verified", ()))


def _hold(events: Sequence[Event], clock: _Clock) -> tuple[float, float] | tuple[()]:
    """From the step that parks requests until they are released, by the plan or by its revert."""
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


def _waited(events: Sequence[Event], clock: _Clock) -> tuple[float, float] | tuple[()]:
    for event, following in zip(events, [*events[1:], events[-1]], strict=True):
        if event.kind == "waiting":
            return (clock(event), clock(following))
    return ()


def _as_text(value: Any) -> str:
    """Evidence as one line of text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_as_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_as_text(item) for item in value)
    return _FINGERPRINT.sub(r"\1…", str(value))


def epoch(event: Event) -> float:
    """When an event was written, in seconds since 1970."""
    return datetime.datetime.fromisoformat(event.time).timestamp()
