"""What a soak's samples say: keep native, go back, or look first. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from fabfile.runner.wire.codec import decode
from fabfile.runner.wire.events import Event
from fabfile.runner.wire.soak import Sample, Soak, WorkloadSample

FEWEST = 12  # samples: three for each quarter, the fewest that have a median worth the name
DUE = 0.8  # of the samples that were due; with fewer too much went unseen

# Memory grows steadily when all of this is so:
AWHILE = 3600.0  # seconds; what has just started fills its heap for some minutes, whatever it does later
SHARE = 0.1  # of the first quarter's median; a garbage-collected heap swings by that between two collections
LEAST = 16 * 2**20  # bytes; less, even in a single hour, takes days to fill a small VPS
# A lag of so many messages more is work for a moment; it need not be that the durable cannot keep up.
BEHIND = 100
# Each quarter adds at least this part of the whole growth: half of an even share. A warm-up adds all of it at first.
STEP = 1 / 6

MB = 1e6
Subject = Literal["workload", "durable", "address"]
COLUMNS: Mapping[Subject, tuple[str, ...]] = {
    "workload": ("healthy in samples", "restarts", "memory"),
    "durable": ("lag", "at most", "redelivered at most"),
    "address": ("requests", "failed", "5xx in the edge's log"),
}


@dataclass(frozen=True)
class Story:
    """A soak so far. `ended` is empty while it runs, else: time, stopped, owner, or cut off."""

    soak: Soak
    since: str
    ended: str
    samples: tuple[Sample, ...] = ()
    outages: tuple[dict[str, Any], ...] = ()  # of the watched addresses, as they were journaled

    @property
    def hours(self) -> float:
        """How long was looked."""
        return self.samples[-1].at / 3600 if self.samples else 0.0

    @property
    def due(self) -> int:
        """How many samples there should be by now."""
        return int(self.hours * 3600 / self.soak.every) + 1

    @property
    def owner(self) -> str:
        """Whose runtime was looked at; empty when nobody knew."""
        return next((sample.owner for sample in self.samples if sample.owner), "")


@dataclass(frozen=True)
class Trend:
    """The medians of a series' four quarters, and how much it changes in an hour."""

    quarters: tuple[float, ...]
    per_hour: float

    @property
    def grew(self) -> float:
        """From the first quarter to the last."""
        return self.quarters[-1] - self.quarters[0]

    @property
    def steady(self) -> bool:
        """Whether every quarter adds its part to the growth."""
        steps = [later - former for former, later in zip(self.quarters, self.quarters[1:], strict=False)]
        return self.grew > 0 and min(steps) >= self.grew * STEP


@dataclass(frozen=True)
class Figures:
    """One workload, durable or address, in numbers; `cells` are COLUMNS[kind] for people, `faults` what is wrong."""

    kind: Subject
    what: str
    cells: tuple[str, ...]
    numbers: Mapping[str, float]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recommendation:
    """What to do, why, and the figures that say so."""

    verdict: str  # keep native, go back, look first; of a soak under Docker keep docker or look first
    sentence: str
    reasons: tuple[str, ...]
    command: str = ""
    figures: tuple[Figures, ...] = field(default=(), repr=False)


def story(events: Sequence[Event], running: bool) -> Story:
    """A soak as its lines tell it; `running` says whether somebody carries it out. Raises ValueError."""
    start, last = events[0].evidence, events[-1]
    ended = last.evidence["why"] if last.kind == "finished" else "" if running else "cut off"
    return Story(
        soak=decode(start["soak"]),
        since=events[0].time,
        ended=ended,
        samples=tuple(decode(event.evidence["sample"]) for event in events if event.kind == "sample"),
        outages=tuple(event.evidence for event in events if event.kind == "outage"),
    )


def figures(report: Story) -> tuple[Figures, ...]:
    """Everything in numbers: workloads, durables, then the edge."""
    # Another owner's workloads in the last sample are another runtime's.
    samples = [sample for sample in report.samples if sample.owner in (report.owner, "")]
    return (*_workloads(samples), *_durables(samples), *_edge(samples, report.outages))


def recommend(report: Story) -> Recommendation:
    """What the figures of a soak that has ended say to do.

    A fault is evidence however short the soak was; that there was none is evidence only after enough samples.
    """
    found = figures(report)
    faults = [f"{figure.what} {fault}" for figure in found for fault in figure.faults]
    thin = _thin(report)
    if report.ended == "owner":
        last = report.samples[-1].owner
        return _said("look first", [f"the owner changed from {report.owner} to {last}", *faults], found)
    if faults and report.owner == "native":
        return _said("go back", faults, found, "inv rollback --full")
    if faults or thin:
        return _said("look first", [*faults, *thin], found)
    return _said(f"keep {report.owner}", _well(report), found)


def trend(series: Sequence[tuple[float, float]]) -> Trend | None:
    """The trend of (seconds, value) pairs in order of time; None when there are too few of them."""
    if len(series) < FEWEST:
        return None
    bounds = [len(series) * quarter // 4 for quarter in range(5)]
    parts = [series[start:end] for start, end in pairwise(bounds)]
    medians = tuple(float(statistics.median(value for _, value in part)) for part in parts)
    times = [statistics.median(at for at, _ in part) for part in parts]
    hours = (times[-1] - times[0]) / 3600
    return Trend(medians, (medians[-1] - medians[0]) / hours if hours > 0 else 0.0)


def restarts(pulses: Sequence[tuple[str, WorkloadSample]]) -> int:
    """How often a workload was restarted, of (boot, pulse) pairs in order of time. A reboot is no restart.

    A manual restart changes the process and sets systemd's counter back; one of systemd's own raises the counter,
    which may be seen before the new process is.
    """
    seen = [pair for index, pair in enumerate(pulses) if pair[1].pid or index == len(pulses) - 1]
    count = 0
    for (former_boot, former), (boot, now) in pairwise(seen):
        if boot == former_boot:
            other = now.pid not in (0, former.pid)
            count += max(int(other), now.restarts - former.restarts, 0)
    return count


def _workloads(samples: Sequence[Sample]) -> Iterator[Figures]:
    for name in dict.fromkeys(name for sample in samples for name in sample.workloads):
        seen = [(sample, sample.workloads[name]) for sample in samples if name in sample.workloads]
        ill = [(sample, pulse) for sample, pulse in seen if not pulse.ok]
        again = restarts([(sample.boot, pulse) for sample, pulse in seen])
        faults = [f"was not healthy in {len(ill)} of {len(seen)} samples ({ill[0][1].text})"] if ill else []
        faults += [f"was restarted {_times(again)}"] if again else []
        memory, numbers, grows = _memory([(s.at, float(p.memory.held)) for s, p in seen if p.memory])
        cells = (f"{len(seen) - len(ill)} of {len(seen)}", str(again), memory)
        numbers |= {"samples": len(seen), "healthy": len(seen) - len(ill), "restarts": again}
        yield Figures("workload", name, cells, numbers, (*faults, *grows))


def _memory(series: Sequence[tuple[float, float]]) -> tuple[str, dict[str, float], list[str]]:
    """In words and numbers, and what is wrong with it; a rate only of what ran long enough to have one."""
    if not series:
        return "unknown", {}, []
    found, long = trend(series), series[-1][0] - series[0][0] >= AWHILE
    if found is None or not long:
        now = series[-1][1] / MB
        return f"{series[0][1] / MB:.0f} → {now:.0f} MB", {"memory_mb": round(now, 1)}, []
    text = f"{found.quarters[0] / MB:.0f} → {found.quarters[-1] / MB:.0f} MB ({found.per_hour / MB:+.1f} MB/h)"
    numbers = {"memory_mb": round(found.quarters[-1] / MB, 1), "memory_mb_per_hour": round(found.per_hour / MB, 2)}
    grows = found.steady and found.grew > max(LEAST, found.quarters[0] * SHARE)
    return text, numbers, [f"grows steadily in memory: {text}"] if grows else []


def _durables(samples: Sequence[Sample]) -> Iterator[Figures]:
    for name in dict.fromkeys(name for sample in samples for name in sample.durables):
        seen = [(sample.at, sample.durables[name]) for sample in samples if name in sample.durables]
        most, twice = max(lag.behind for _, lag in seen), max(lag.redelivered for _, lag in seen)
        found = trend([(at, float(lag.behind)) for at, lag in seen])
        now = found.quarters[-1] if found else seen[-1][1].behind
        text = f"{found.quarters[0] if found else seen[0][1].behind:.0f} → {now:.0f}"
        grows = found is not None and found.steady and found.grew > BEHIND
        numbers = {"lag": now, "lag_most": most, "redelivered_most": twice}
        faults = (f"falls behind: {text} messages",) if grows else ()
        yield Figures("durable", name, (text, str(most), str(twice)), numbers, faults)


def _edge(samples: Sequence[Sample], outages: Sequence[dict[str, Any]]) -> Iterator[Figures]:
    for name in dict.fromkeys(name for sample in samples for name in sample.edge):
        asked = [sample.edge[name] for sample in samples if name in sample.edge]
        requests, failures = sum(one.requests for one in asked), sum(one.failures for one in asked)
        errors: dict[str, int] = {}
        for outage in (outage for outage in outages if outage["watch"] == name):
            errors = {**errors, **{text: errors.get(text, 0) + n for text, n in outage["errors"].items()}}
        # The last second's are in no sample, and those of an outage that a crash cut short are in no outage.
        failures = max(failures, sum(errors.values()))
        why = f" ({', '.join(f'{count} × {text}' for text, count in errors.items())})" if errors else ""
        served = [sample.served[name] for sample in samples if name in sample.served]
        bad = sum(one.errors for one in served)
        answers = sum(one.answers for one in served)
        log = f"{bad} of {answers}" if served else "cannot be read"
        faults = [f"failed {_times(failures)} of {requests}{why}"] if failures else []
        faults += [f"answered 5xx {_times(bad)}, by the edge's own log"] if bad else []
        numbers = {"requests": requests, "failures": failures, "answers": answers, "answers_5xx": bad}
        yield Figures("address", name, (str(requests), str(failures), log), numbers, tuple(faults))


def _thin(report: Story) -> list[str]:
    """Why the samples are not enough to say that all is well."""
    hours = report.soak.seconds / 3600
    blind = [sample for sample in report.samples if sample.problems]
    count = len(report.samples) - len(blind)  # those that saw everything
    lack = f" ({len(blind)} more lack something: {blind[0].problems[0]})" if blind else ""
    found = [
        (report.ended == "stopped", f"it was stopped early, after {report.hours:.2g} of {hours:.2g} h"),
        (report.ended == "cut off", f"it was cut off, after {report.hours:.2g} of {hours:.2g} h"),
        (count < FEWEST, f"there are only {count} samples, and {FEWEST} are the fewest{lack}"),
        (FEWEST <= count < report.due * DUE, f"there are only {count} of {report.due} samples{lack}"),
        (not any(sample.edge for sample in report.samples), "nobody asked at the edge"),
    ]
    return [text for holds, text in found if holds]


def _well(report: Story) -> list[str]:
    boots = len({sample.boot for sample in report.samples}) - 1
    short = report.hours * 3600 < AWHILE
    requests = sum(asked.requests for sample in report.samples for asked in sample.edge.values())
    return [
        f"all was healthy in {len(report.samples)} samples of {report.hours:.2g} h",
        "nothing was restarted" + (f", but the VPS {_times(boots)}" if boots else ""),
        "too short to assess memory; no consumer lag grew" if short else "neither memory nor lag grew steadily",
        f"none of {requests} requests at the edge failed",
    ]


def _said(verdict: str, reasons: list[str], found: tuple[Figures, ...], command: str = "") -> Recommendation:
    sentence = f"{verdict}: {'; '.join(reasons)}."
    return Recommendation(verdict, sentence, tuple(reasons), command, found)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
