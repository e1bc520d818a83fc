"""Measures hand-overs on a VPS with too few processors: how many are reverted, failed requests, and waits."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import figures, methods, show
from bench.crowd import Crowd
from bench.figures import Tally
from fabfile.console import Console
from fabfile.inventory import Site
from fabfile.lab.lab import Lab

WAYS = (("native", ("cutover",)), ("docker", ("rollback", "--full")))
SETTLE_SECONDS = 5.0  # after each plan


@dataclass(frozen=True)
class Attempt:
    """What users got during one plan, until it had ended and its requests were answered."""

    way: str  # cutover or rollback
    problem: str  # the tool's message, where it was reverted; empty when it was done
    seconds: float
    hold: float  # seconds; 0 where there was none
    impact: Tally


@dataclass(frozen=True)
class Level:
    """Everything at one number of processors; `bare` is the stop and start alone by way, in seconds."""

    cpus: float
    attempts: Sequence[Attempt]
    bare: dict[str, float]


async def measure(lab: Lab, site: Site, crowd: Callable[[], Crowd], cpus: Sequence[float], rounds: int) -> list[Level]:
    """Hand over and back `rounds` times at each number of processors, then do the bare of both."""
    return [await _level(lab, site, crowd, number, rounds) for number in cpus]


async def _level(lab: Lab, site: Site, crowd: Callable[[], Crowd], cpus: float, rounds: int) -> Level:
    lab.guest.starve(cpus)
    tool, hand = methods.Tool(lab), methods.ByHand(lab, site)
    attempts: list[Attempt] = []
    async with crowd() as public:
        for number in range(1, rounds + 1):
            for to, words in WAYS:
                if await asyncio.to_thread(tool.owner) == to:
                    continue  # the cutover before was reverted: there is nothing to go back from
                show.progress(f"{cpus:g} CPUs: {words[0]} {number}")
                attempts.append(await _attempt(public, tool, words))
                if attempts[-1].problem:
                    show.progress(attempts[-1].problem)
    bare = {}
    for to, words in WAYS:
        if tool.owner() != to:
            show.progress(f"{cpus:g} CPUs: bare {words[0]}")
            bare[words[0]] = hand.bare(to).whole
    return Level(cpus, attempts, bare)


async def _attempt(public: Crowd, tool: methods.Tool, words: Sequence[str]) -> Attempt:
    began, problem, events = time.monotonic(), "", []
    try:
        events = await asyncio.to_thread(functools.partial(tool.run, *words))
    except methods.BenchError as error:
        problem = str(error)
    seconds = time.monotonic() - began
    await asyncio.sleep(SETTLE_SECONDS)
    samples = [sample for sample in public.samples if sample.started >= began]
    hold = figures.hold(events)
    return Attempt(words[0], problem, seconds, hold.seconds if hold else 0.0, figures.tally(samples))


def table(report: Console, levels: Sequence[Level]) -> bool:
    """Print a line for each way at each number of processors; whether all was done and nobody failed."""
    rows, successful = [], True
    for level in levels:
        for _, words in WAYS:
            of_way = [attempt for attempt in level.attempts if attempt.way == words[0]]
            rows.append(_row(level, words[0], of_way))
            successful = successful and bool(of_way) and not any(a.problem or a.impact.failed for a in of_way)
    columns = (
        "CPUs", "way", "plans", "reverted", "requests", "failed", "took", "hold", "longest hold", "longest wait",
        "bare", "hold : bare", "longest wait : bare",
    )  # fmt: skip
    report.table("Hand-overs of a starved VPS (medians, but for what is called longest)", columns, rows)
    for level in levels:
        for attempt in level.attempts:
            kinds = [f"{count} × {kind}" for kind, count in sorted(attempt.impact.failures.items())]
            if kinds or attempt.problem:
                report.say(f"  {level.cpus:g} CPUs, {attempt.way}: {', '.join([attempt.problem, *kinds])}")
    return successful


def _row(level: Level, way: str, attempts: Sequence[Attempt]) -> tuple[str, ...]:
    done = [attempt for attempt in attempts if not attempt.problem]
    hold, longest = _median([a.hold for a in done]), max((a.impact.longest for a in attempts), default=0.0)
    bare = level.bare.get(way, 0.0)
    return (
        f"{level.cpus:g}", way, str(len(attempts)), str(len(attempts) - len(done)),
        str(sum(a.impact.requests for a in attempts)), str(sum(a.impact.failed for a in attempts)),
        _s(_median([a.seconds for a in done])), _s(hold), _s(max((a.hold for a in done), default=0.0)),
        _s(longest), _s(bare), _ratio(hold, bare), _ratio(longest, bare),
    )  # fmt: skip


def _median(values: Sequence[float]) -> float:
    return figures.percentile(sorted(values), 0.5)


def _ratio(ours: float, bare: float) -> str:
    return f"{ours / bare:.2f}" if bare else "?"


def _s(seconds: float) -> str:
    return f"{seconds:.1f} s"


def levels(text: str) -> list[float]:
    """The numbers of processors that are named, as in 2,1,0.5. Raises ValueError."""
    numbers = [float(word) for word in text.split(",")]
    if not all(number > 0 for number in numbers):
        raise ValueError(text)
    return numbers
