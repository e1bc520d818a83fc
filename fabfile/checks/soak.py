"""What a soak's samples say: keep native, go back, or look first. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from fabfile.runner.wire.codec import decode, decode_as
from fabfile.runner.wire.events import Event
from fabfile.runner.wire.soak import Sample, Soak, WorkloadSample

MIN_SAMPLES = 12  # samples: three for each quarter, the fewest that have a median worth the name
MIN_COVERAGE = 0.8  # of the samples that were due; with fewer too much went unseen

# Memory grows steadily when all of this is so:
MIN_TREND_SECONDS = 3600.0  # seconds; what has just started fills its heap for some minutes, whatever it does later
MIN_GROWTH_SHARE = 0.1  # of the first quarter's median; a garbage-collected heap swings by that between two collections
MIN_GROWTH_BYTES = 16 * 2**20  # bytes; less, even in a single hour, takes days to fill a small VPS
# A lag of so many messages more is work for a moment; it need not be that the durable cannot keep up.
MIN_LAG_GROWTH = 100
# Each quarter adds at least this part of the whole growth: half of an even share. A warm-up adds all of it at first.
MIN_QUARTER_SHARE = 1 / 6

MB = 1e6
Subject = Literal["workload", "durable", "address"]
COLUMNS: Mapping[Subject, tuple[str, ...]] = {
    "workload": ("healthy in samples", "restarts", "memory"),
    "durable": ("lag", "at most", "redelivered at most"),
    "address": ("requests", "failed", "5xx in the edge's log"),
}


@dataclass(frozen=True)
class SoakReport:
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
    def expected_samples(self) -> int:
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
    def growth(self) -> float:
        """From the first quarter to the last."""
        return self.quarters[-1] - self.quarters[0]

    @property
    def steady(self) -> bool:
        """Whether every quarter adds its part to the growth."""
        steps = [later - former for former, later in zip(self.quarters, self.quarters[1:], strict=False)]
        return self.growth > 0 and min(steps) >= self.growth * MIN_QUARTER_SHARE


@dataclass(frozen=True)
class Metric:
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
    metrics: tuple[Metric, ...] = field(default=(), repr=False)


def soak_report(events: Sequence[Event], running: bool) -> SoakReport:
    """A soak as its lines tell it; `running` says whether somebody carries it out. Raises ValueError."""
    request, last = decode_as(Soak, events[0].evidence.get("soak")), events[-1]
    if request.every <= 0:
        raise ValueError(f"a soak that samples every {request.every:g} s")
    ended = last.evidence.get("why") or "cut off" if last.kind == "finished" else "" if running else "cut off"
    return SoakReport(
        soak=request,
        since=events[0].time,
        ended=ended,
        samples=tuple(decode(event.evidence["sample"]) for event in events if event.kind == "sample"),
        outages=tuple(event.evidence for event in events if event.kind == "outage"),
    )


def metrics(report: SoakReport) -> tuple[Metric, ...]:
    """Everything in numbers: workloads, durables, then the edge."""
    # Another owner's workloads in the last sample are another runtime's.
    samples = [sample for sample in report.samples if sample.owner in (report.owner, "")]
    return (*_workloads(samples), *_durables(samples), *_edge(samples, report.outages))


def recommend(report: SoakReport) -> Recommendation:
    """What the figures of a soak that has ended say to do.

    A fault is evidence however short the soak was; that there was none is evidence only after enough samples.
    """
    evidence = metrics(report)
    faults = [f"{metric.what} {fault}" for metric in evidence for fault in metric.faults]
    insufficient = _insufficient_data_reasons(report)
    if report.ended == "owner":
        last = report.samples[-1].owner
        return _recommendation("look first", [f"the owner changed from {report.owner} to {last}", *faults], evidence)
    if faults and report.owner == "native":
        return _recommendation("go back", faults, evidence, "inv rollback --full")
    if faults or insufficient:
        return _recommendation("look first", [*faults, *insufficient], evidence)
    return _recommendation(f"keep {report.owner}", _healthy_reasons(report), evidence)


def trend(series: Sequence[tuple[float, float]]) -> Trend | None:
    """The trend of (seconds, value) pairs in order of time; None when there are too few of them."""
    if len(series) < MIN_SAMPLES:
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
    running = [pair for index, pair in enumerate(pulses) if pair[1].pid or index == len(pulses) - 1]
    count = 0
    for (former_boot, former), (boot, now) in pairwise(running):
        if boot == former_boot:
            other = now.pid not in (0, former.pid)
            count += max(int(other), now.restarts - former.restarts, 0)
    return count


def _workloads(samples: Sequence[Sample]) -> Iterator[Metric]:
    for name in dict.fromkeys(name for sample in samples for name in sample.workloads):
        observations = [(sample, sample.workloads[name]) for sample in samples if name in sample.workloads]
        ill = [(sample, pulse) for sample, pulse in observations if not pulse.ok]
        count = restarts([(sample.boot, pulse) for sample, pulse in observations])
        faults = [f"was not healthy in {len(ill)} of {len(observations)} samples ({ill[0][1].text})"] if ill else []
        faults += [f"was restarted {_times(count)}"] if count else []
        memory, numbers, grows = _memory([(s.at, float(p.memory.held)) for s, p in observations if p.memory])
        cells = (f"{len(observations) - len(ill)} of {len(observations)}", str(count), memory)
        numbers |= {"samples": len(observations), "healthy": len(observations) - len(ill), "restarts": count}
        yield Metric("workload", name, cells, numbers, (*faults, *grows))


def _memory(series: Sequence[tuple[float, float]]) -> tuple[str, dict[str, float], list[str]]:
    """In words and numbers, and what is wrong with it; a rate only of what ran long enough to have one."""
    if not series:
        return "unknown", {}, []
    slope, long = trend(series), series[-1][0] - series[0][0] >= MIN_TREND_SECONDS
    if slope is None or not long:
        now = series[-1][1] / MB
        return f"{series[0][1] / MB:.0f} → {now:.0f} MB", {"memory_mb": round(now, 1)}, []
    text = f"{slope.quarters[0] / MB:.0f} → {slope.quarters[-1] / MB:.0f} MB ({slope.per_hour / MB:+.1f} MB/h)"
    numbers = {"memory_mb": round(slope.quarters[-1] / MB, 1), "memory_mb_per_hour": round(slope.per_hour / MB, 2)}
    grows = slope.steady and slope.growth > max(MIN_GROWTH_BYTES, slope.quarters[0] * MIN_GROWTH_SHARE)
    return text, numbers, [f"grows steadily in memory: {text}"] if grows else []


def _durables(samples: Sequence[Sample]) -> Iterator[Metric]:
    for name in dict.fromkeys(name for sample in samples for name in sample.durables):
        lags = [(sample.at, sample.durables[name]) for sample in samples if name in sample.durables]
        max_lag, redelivered = max(lag.behind for _, lag in lags), max(lag.redelivered for _, lag in lags)
        slope = trend([(at, float(lag.behind)) for at, lag in lags])
        now = slope.quarters[-1] if slope else lags[-1][1].behind
        text = f"{slope.quarters[0] if slope else lags[0][1].behind:.0f} → {now:.0f}"
        grows = slope is not None and slope.steady and slope.growth > MIN_LAG_GROWTH
        numbers = {"lag": now, "lag_most": max_lag, "redelivered_most": redelivered}
        faults = (f"falls behind: {text} messages",) if grows else ()
        yield Metric("durable", name, (text, str(max_lag), str(redelivered)), numbers, faults)


def _edge(samples: Sequence[Sample], outages: Sequence[dict[str, Any]]) -> Iterator[Metric]:
    for name in dict.fromkeys(name for sample in samples for name in sample.edge):
        probes = [sample.edge[name] for sample in samples if name in sample.edge]
        requests, failures = sum(counts.requests for counts in probes), sum(counts.failures for counts in probes)
        errors: dict[str, int] = {}
        for outage in (outage for outage in outages if outage["watch"] == name):
            errors = {**errors, **{text: errors.get(text, 0) + n for text, n in outage["errors"].items()}}
        # The last second's are in no sample, and those of an outage that a crash cut short are in no outage.
        failures = max(failures, sum(errors.values()))
        why = f" ({', '.join(f'{count} × {text}' for text, count in errors.items())})" if errors else ""
        logs = [sample.served[name] for sample in samples if name in sample.served]
        bad = sum(counts.errors for counts in logs)
        answers = sum(counts.answers for counts in logs)
        log = f"{bad} of {answers}" if logs else "cannot be read"
        faults = [f"failed {_times(failures)} of {requests}{why}"] if failures else []
        faults += [f"answered 5xx {_times(bad)}, by the edge's own log"] if bad else []
        numbers = {"requests": requests, "failures": failures, "answers": answers, "answers_5xx": bad}
        yield Metric("address", name, (str(requests), str(failures), log), numbers, tuple(faults))


def _insufficient_data_reasons(report: SoakReport) -> list[str]:
    """Why the samples are not enough to say that all is well."""
    hours = report.soak.seconds / 3600
    blind = [sample for sample in report.samples if sample.problems]
    count = len(report.samples) - len(blind)  # those that saw everything
    lack = f" ({len(blind)} more lack something: {blind[0].problems[0]})" if blind else ""
    reasons = [
        (report.ended == "stopped", f"it was stopped early, after {report.hours:.2g} of {hours:.2g} h"),
        (report.ended == "cut off", f"it was cut off, after {report.hours:.2g} of {hours:.2g} h"),
        (count < MIN_SAMPLES, f"there are only {count} samples, and {MIN_SAMPLES} are the fewest{lack}"),
        (
            MIN_SAMPLES <= count < report.expected_samples * MIN_COVERAGE,
            f"there are only {count} of {report.expected_samples} samples{lack}",
        ),
        (not any(sample.edge for sample in report.samples), "nobody asked at the edge"),
    ]
    return [text for holds, text in reasons if holds]


def _healthy_reasons(report: SoakReport) -> list[str]:
    boots = len({sample.boot for sample in report.samples}) - 1
    short = report.hours * 3600 < MIN_TREND_SECONDS
    requests = sum(counts.requests for sample in report.samples for counts in sample.edge.values())
    return [
        f"all was healthy in {len(report.samples)} samples of {report.hours:.2g} h",
        "nothing was restarted" + (f", but the VPS {_times(boots)}" if boots else ""),
        "too short to assess memory; no consumer lag grew" if short else "neither memory nor lag grew steadily",
        f"none of {requests} requests at the edge failed",
    ]


def _recommendation(
    verdict: str, reasons: list[str], evidence: tuple[Metric, ...], command: str = ""
) -> Recommendation:
    sentence = f"{verdict}: {'; '.join(reasons)}."
    return Recommendation(verdict, sentence, tuple(reasons), command, evidence)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
