"""Measures what users get at the edge during hand-overs, and during those of the original's scripts.

    python -m bench.edge [--rounds R] [--clients N] [--sockets M] [--think SECONDS] [--name LAB]
                         [--cpus 2,1,0.5] [--web-cost MS] [--web-warmup SECONDS] [--no-nats-monitoring]

Needs root: it works on a lab of its own, which it boots and removes unless it is up. It drives the edge all through
`islandflow cutover` and `islandflow rollback --full`, then through the same hand-over as the original's scripts did it,
and at last does the bare stop and start of the same servers and services, three times, with nobody asking.

With --cpus it starves the lab instead, once for each number, and hands over and back R times each: how many plans were
reverted, who failed, and hold and longest wait against the bare stop and start on as many processors. The load comes
from outside the lab's share. It takes about a minute a plan on two processors, and more than two on half of one.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import functools
import sys
import time

from bench import load, methods, show, starved
from fabfile import inventory
from fabfile.errors import CutoverError
from fabfile.inventory import Site
from fabfile.lab.choices import Choices
from fabfile.lab.lab import Lab

BARE_ROUNDS = 3  # how often the bare hand-over is measured; odd, so that there is a median


def main() -> int:
    """Measure and print; returns 0 when everything could be measured, else 1."""
    options = _options()
    try:
        with load.booted(options.name, _choices(options)) as lab:
            site = inventory.load(lab.inventory, {})
            if options.cpus:
                return asyncio.run(_starve(lab, site, options))
            asyncio.run(_measure(lab, site, options))
    except (methods.BenchError, CutoverError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


async def _starve(lab: Lab, site: Site, options: argparse.Namespace) -> int:
    levels = await starved.measure(lab, site, lambda: load.crowd(lab, site, options), options.cpus, options.rounds)
    return 0 if starved.table(show.wide_console(), levels) else 1


async def _measure(lab: Lab, site: Site, options: argparse.Namespace) -> None:
    tool, hand = methods.Tool(lab), methods.ByHand(lab, site)
    if tool.owner() != "docker":
        raise methods.BenchError(f"the lab is not at its baseline: inv lab.reset --name {lab.name}")
    before, clock = methods.third_host(lab, site), time.process_time()
    crowd = load.crowd(lab, site, options)
    plans: list[show.Plan] = []
    async with crowd:
        run, began = load.Run(crowd), time.monotonic()
        await run.part("nothing happens", lambda: time.sleep(options.idle))
        for number in range(1, options.rounds + 1):
            for to, words in (("native", ("cutover",)), ("docker", ("rollback", "--full"))):
                name = f"{words[0]} {number}"
                show.progress(name)
                events = await run.part(name, functools.partial(tool.run, *words))
                plans.append(show.Plan(name, events))
                await asyncio.to_thread(hand.keep_edge, to)
        unchanged = await asyncio.to_thread(methods.third_host, lab, site) == before
        timings = {}
        for to, name in (("native", "original's cutover"), ("docker", "original's rollback")):
            show.progress(name)
            timings[name] = await run.part(name, functools.partial(hand.original, to))
        opened = crowd.open
        used = (time.process_time() - clock) / (time.monotonic() - began)
    timings |= _bare(hand)
    show.report_all(show.Results(crowd, run.parts, plans, timings, opened, unchanged, used), site)


def _bare(hand: methods.ByHand) -> dict[str, methods.Timing]:
    """The bare hand-over, both ways several times in turn: of each the median, for one alone varies by a fifth."""
    timings = collections.defaultdict(list)
    for number in range(1, BARE_ROUNDS + 1):
        for to in ("native", "docker"):
            show.progress(f"bare, to {to} {number}")
            timings[f"bare, to {to}"].append(hand.bare(to))
            time.sleep(load.SETTLE_SECONDS)
    return {name: sorted(runs, key=lambda timing: timing.whole)[BARE_ROUNDS // 2] for name, runs in timings.items()}


def _choices(options: argparse.Namespace) -> Choices:
    """The choices of the lab; with --cpus its web app needs processor time, or the starved lab would show little."""
    slow = {"web_cost": options.web_cost, "web_warmup": options.web_warmup}
    if options.cpus:
        slow = {name: value or default for (name, value), default in zip(slow.items(), ("18", "3"), strict=True)}
    return Choices.of(**slow, no_nats_monitoring=options.no_nats_monitoring)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.edge", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1, help="how many cutovers and rollbacks (1)")
    load.add_options(parser)
    parser.add_argument("--idle", type=float, default=5.0, help="seconds of requests before anything happens (5)")
    parser.add_argument("--cpus", type=starved.levels, default=[], help="starve the lab: 2,1,0.5 measures three times")
    parser.add_argument("--web-cost", default="", help="milliseconds of processor time a page (18 with --cpus)")
    parser.add_argument("--web-warmup", default="", help="seconds of it that the first pages take (3 with --cpus)")
    parser.add_argument("--no-nats-monitoring", action="store_true", help="no port for it, native or not")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
