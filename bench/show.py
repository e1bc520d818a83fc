"""Prints what was measured as tables."""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import figures
from bench.crowd import Crowd, Cut
from bench.figures import Tally
from bench.methods import Timing
from fabfile.console import Console, screen
from fabfile.inventory import Site

_WIDTH = 200  # columns of a file, or of a pipe
_MAX_WINDOWS = 6  # outage windows that are listed one by one


@dataclass(frozen=True)
class Part:
    """A part of the run, on the monotonic clock, and how long the work in it took (seconds)."""

    name: str
    started: float
    ended: float
    took: float


@dataclass(frozen=True)
class Plan:
    """A part that was the tool's, with its journal's events."""

    name: str
    events: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Results:
    """All that a run has measured."""

    crowd: Crowd
    parts: Sequence[Part]
    plans: Sequence[Plan]
    timings: Mapping[str, Timing]
    open: int  # websockets at the end
    unchanged: bool  # the third host's row and file
    used: float  # seconds of processor time a second, by the load generator and what it started

    def tally(self, part: Part, domain: str = "") -> Tally:
        """What users got in the part: of all requests, or of those to one domain."""
        samples = (s for s in self.crowd.samples if part.started <= s.started < part.ended)
        return figures.tally(s for s in samples if domain in ("", s.request.domain))

    def cuts(self, part: Part) -> list[Cut]:
        """The websockets that were cut in this part."""
        return [cut for cut in self.crowd.cuts if part.started <= cut.at < part.ended]

    def named(self, start: str) -> list[Part]:
        """The parts whose names begin so."""
        return [part for part in self.parts if part.name.startswith(start)]


def progress(name: str) -> None:
    """Print what is being measured."""
    print(f"bench: {name}", file=sys.stderr, flush=True)


def wide_console() -> Console:
    """A console whose tables are wide, in a file as well."""
    out = screen(sys.stdout)
    if not out.is_terminal:
        out.width = _WIDTH
    return Console(out=out)


def report_all(results: Results, site: Site) -> None:
    """Print all tables."""
    report = wide_console()
    _public(report, results)
    _websockets(report, results)
    for way in ("cutover", "rollback"):
        _steps(report, way, [plan for plan in results.plans if plan.name.startswith(way)])
    _agreement(report, results, site)
    _bare(report, results)
    _ratios(report, results)
    (idle, *_) = results.parts
    rate = results.tally(idle).requests / (idle.ended - idle.started)
    load = f"{results.used:.0%} of one processor"
    report.say(f"\n{rate:.0f} requests/s while nothing happened; the load generator took {load}.")
    report.say(f"{results.open} websockets were open at the end.")
    report.say(f"The third proxy host's row and file: {'byte-identical' if results.unchanged else 'CHANGED'}.")


def _public(report: Console, results: Results) -> None:
    rows = []
    for part in results.parts:
        tally = results.tally(part)
        rows.append((
            part.name, _s(part.took), str(tally.requests), str(tally.failed), _repeats(tally),
            _s(tally.longest), _ms(tally.p50), _ms(tally.p99), f"{_s(tally.away)} in {len(tally.outages)}",
        ))  # fmt: skip
    columns = ("", "took", "requests", "failed", "repeats", "longest wait", "p50", "p99", "outages")
    report.table("Requests through the edge", columns, rows)
    for part in results.parts:
        tally = results.tally(part)
        for kind, count in sorted(tally.failures.items()):
            report.say(f"  {part.name}: {count} × {kind}")
        listed = tally.outages[:_MAX_WINDOWS]
        windows = [f"{_s(start - part.started)} to {_s(end - part.started)}" for start, end in listed]
        if windows:
            more = len(tally.outages) - len(windows)
            report.say(f"  {part.name}: away from {', '.join(windows)}{f' and {more} more' if more else ''}")


def _websockets(report: Console, results: Results) -> None:
    rows = []
    for part in results.parts:
        cuts = results.cuts(part)
        back = sorted(cut.seconds for cut in cuts)
        by = ", ".join(f"{count} × {name or '?'}" for name, count in _by_count(cut.runtime for cut in cuts))
        refused = sum(cut.refusals for cut in cuts)
        rows.append((
            part.name, str(len(cuts)), str(refused), _s(figures.percentile(back, 0.5)), _s(max(back, default=0.0)), by,
        ))  # fmt: skip
    columns = ("websockets", "cut", "tries refused", "back after, median", "longest", "then served by")
    report.table("", columns, rows)


def _steps(report: Console, way: str, plans: Sequence[Plan]) -> None:
    """How long the hold and each step took, over all plans of one way."""
    holds = [hold for plan in plans if (hold := figures.hold(plan.events))]
    inside = {step.name for hold in holds for step in hold.step_times}
    seconds: dict[str, list[float]] = collections.defaultdict(list)
    for plan in plans:
        for step in figures.step_times(plan.events):
            seconds[step.name].append(step.seconds)
    rows = [(name, *_spread(times), "in the hold" if name in inside else "") for name, times in seconds.items()]
    median, longest = _spread([hold.seconds for hold in holds])
    held = f"held for {median}, at most {longest}" if holds else "nothing is parked in these plans"
    report.table(f"{way}: {held}", ("step", "median", "longest", ""), rows)


def _agreement(report: Console, results: Results, site: Site) -> None:
    """The runner's own record beside the figures from outside."""
    rows = []
    for plan in results.plans:
        (part,) = (part for part in results.parts if part.name == plan.name)
        record = figures.public_impact(plan.events)
        for domain in (site.edge.app_domain, site.edge.api_domain):
            own, theirs = results.tally(part, domain), record[domain]
            rows.append((
                plan.name, domain,
                *_pair(theirs["requests"], own.requests), *_pair(theirs["failures"], own.failed),
                _s(theirs["longest_wait_ms"] / 1000), _s(own.longest), _s(theirs["outage_ms"] / 1000), _s(own.away),
                "agree" if figures.agrees(theirs, own) else "DIFFER",
            ))  # fmt: skip
    kinds = ("requests", "failed", "longest wait", "outage")
    columns = [name for kind in kinds for name in (f"{kind}: runner", "seen")]
    report.table("The runner's own record, and what was seen from outside", ("", "", *columns, ""), rows)


def _bare(report: Console, results: Results) -> None:
    rows = [
        (name, _s(timing.stop), _s(timing.start), _s(timing.answering), _s(timing.whole))
        for name, timing in results.timings.items()
    ]
    report.table("By hand", ("", "stop", "start", "until it answers", "whole"), rows)


def _ratios(report: Console, results: Results) -> None:
    rows = []
    for way, bare in (("cutover", "bare, to native"), ("rollback", "bare, to docker")):
        (original,) = results.named(f"original's {way}")
        theirs, limit = results.tally(original), results.timings[bare].whole
        for part in results.named(f"{way} "):
            ours = results.tally(part)
            rows.append((
                part.name,
                _ratio(ours.failed, theirs.failed), _ratio(ours.away, theirs.away),
                _ratio(ours.longest, theirs.longest), _ratio(part.took, original.took),
                _ratio(len(results.cuts(part)), len(results.cuts(original))),
                _ratio(ours.longest, limit),
            ))  # fmt: skip
    columns = ("ours : theirs", "failed", "outage", "longest wait", "took", "websockets cut", "longest wait : bare")
    report.table("Against the original's way, and against the bare stop and start", columns, rows)


def _repeats(tally: Tally) -> str:
    return ", ".join(f"{count} {method}" for method, count in tally.repeats.items()) or "0"


def _by_count(values: Iterable[str]) -> list[tuple[str, int]]:
    return collections.Counter(values).most_common()


def _spread(values: Sequence[float]) -> tuple[str, str]:
    """Median and largest, in seconds."""
    return _s(figures.percentile(sorted(values), 0.5)), _s(max(values, default=0.0))


def _pair(theirs: int, ours: int) -> tuple[str, str]:
    return str(theirs), str(ours)


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs else ("0 : 0" if not ours else f"{ours:g} : 0")


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
