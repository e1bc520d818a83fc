"""Computes figures from samples and events: waits, failures, outages, the hold and its steps."""

from __future__ import annotations

import collections
import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.client import Sample

Event = Mapping[str, Any]
Window = tuple[float, float]  # from, to, in seconds


@dataclass(frozen=True)
class Tally:
    """What users got during a part of the run. Waits and windows in seconds."""

    requests: int
    failures: Mapping[str, int]  # kind → how many
    repeats: Mapping[str, int]  # method → how many; browsers repeat POST too, RFC 9110 (9.2.2) would not
    longest: float
    p50: float
    p99: float
    outages: tuple[Window, ...]
    runtimes: Mapping[str, int]

    @property
    def failed(self) -> int:
        """All failures, of whatever kind."""
        return sum(self.failures.values())

    @property
    def away(self) -> float:
        """Seconds in which at least one of the requests failed."""
        return sum(end - start for start, end in self.outages)


@dataclass(frozen=True)
class StepTime:
    """A step of a plan that did something, and how long it took (seconds)."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Hold:
    """The time from parking requests to releasing them, and the steps in between."""

    seconds: float
    step_times: tuple[StepTime, ...]


def tally(samples: Iterable[Sample]) -> Tally:
    """The sum of these samples; waits of failures count only for the longest."""
    ordered = sorted(samples, key=lambda sample: sample.started)
    served = sorted(sample.seconds for sample in ordered if not sample.failure)
    by_request: dict[str, list[Sample]] = collections.defaultdict(list)
    for sample in ordered:
        by_request[sample.request.name].append(sample)
    windows = [window for of_request in by_request.values() for window in outages(of_request)]
    return Tally(
        requests=len(ordered),
        failures=collections.Counter(sample.failure for sample in ordered if sample.failure),
        repeats=collections.Counter(sample.request.method for sample in ordered if sample.repeated),
        longest=max((sample.seconds for sample in ordered), default=0.0),
        p50=percentile(served, 0.50),
        p99=percentile(served, 0.99),
        outages=tuple(union(windows)),
        runtimes=collections.Counter(sample.runtime for sample in ordered if sample.runtime),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share (0 to 1) of the ordered values does not exceed; 0 of none."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else 0.0


def outages(samples: Iterable[Sample]) -> list[Window]:
    """From each first failure to the next success, both as they were sent; one that lasts ends with its last try.

    For samples of one and the same question: two that are served by different processes fail for themselves.
    """
    windows: list[Window] = []
    since: float | None = None
    last = 0.0
    for sample in sorted(samples, key=lambda sample: sample.started):
        if sample.failure:
            since = sample.started if since is None else since
            last = sample.started + sample.seconds
        elif since is not None:
            windows.append((since, sample.started))
            since = None
    return windows if since is None else [*windows, (since, last)]


def union(windows: Iterable[Window]) -> list[Window]:
    """The same windows, those that touch made one."""
    merged: list[Window] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def step_times(events: Iterable[Event]) -> list[StepTime]:
    """The steps that a plan's journal shows as done, in order; those with nothing to do took no time."""
    return [StepTime(e["step"], e["ms"] / 1000) for e in events if e["kind"] == "done" and e["step"]]


def hold(events: Sequence[Event]) -> Hold | None:
    """The hold of a plan that parks requests, from its journal; None of one that does not.

    It begins as the edge is pointed to the parking lot, which may park the first requests at once, and ends when
    those parked are let go.
    """
    begin = _first(events, "start", "begins")
    end = _first(events, "done", "ends")
    if begin is None or end is None:
        return None
    return Hold(_at(events[end]) - _at(events[begin]), tuple(step_times(events[begin : end + 1])))


def windows(events: Iterable[Event], endings: tuple[str, ...], offset: float) -> list[Window]:
    """When the steps ran whose names end so, from their start until they were done or failed.

    `offset` is what the VPS's clock is ahead of the one that the windows shall be of (seconds).
    """
    began: dict[str, float] = {}
    found = []
    for event in events:
        if str(event["step"]).endswith(endings):
            if event["kind"] == "start":
                began[event["step"]] = _at(event) - offset
            elif event["kind"] in ("done", "failed") and event["step"] in began:
                found.append((began.pop(event["step"]), _at(event) - offset))
    return found


def public_impact(events: Iterable[Event]) -> dict[str, dict[str, int]]:
    """The runner's own record of public impact: domain → figures, from its `finished` event."""
    return {name: figures for e in events for name, figures in e["evidence"].get("impact", {}).items()}


def agrees(record: Mapping[str, int], measured: Tally, slack: float = 0.5) -> bool:
    """Whether the runner's record agrees with the figures from outside: no outage, or outages equal within `slack`.

    The two send their requests at different moments, some 50 ms apart, and failing requests may hang.
    """
    if not record["failures"] or not measured.failed:
        # A single failed request may fall between the other's, a longer outage can't.
        return max(record["outage_ms"] / 1000, measured.away) <= slack
    return abs(record["outage_ms"] / 1000 - measured.away) <= slack + 0.1 * measured.away


def _first(events: Sequence[Event], kind: str, hold: str) -> int | None:
    return next((n for n, e in enumerate(events) if e["kind"] == kind and e["evidence"].get("hold") == hold), None)


def _at(event: Event) -> float:
    return datetime.datetime.fromisoformat(event["time"]).timestamp()
