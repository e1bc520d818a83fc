"""Measures what users get while commits of the app are deployed, and while they are built.

    python -m bench.deploy [--rounds R] [--pieces api,web,all] [--runtime native|docker] [--refs A,B]
                           [--clients N] [--sockets M] [--think SECONDS] [--name LAB]

Needs root: it works on a lab of its own, which it boots and removes unless it is up. 50 clients use the app while R
commits of each of the pieces are deployed, each another one. Then the bare restart of the same pieces is done, three
times, with nobody asking: until they answer again, nobody can be served whatever a deploy does. Where the lab has an
app of your own, --refs names commits of it, which are deployed in turn; else there are new ones, which change nothing.

It prints failed requests, the longest wait and its ratio to the bare restart, and what a request took while nothing
happened and while a release was built. It ends with 1 where a request failed, or waited 1.5 times as long.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import figures, load, methods, show
from bench.crowd import Crowd
from bench.figures import Hold, Tally, Window
from fabfile import inventory
from fabfile.console import Console
from fabfile.errors import CutoverError
from fabfile.inventory import Site
from fabfile.lab.baseline import ORIGIN
from fabfile.lab.choices import Choices
from fabfile.lab.lab import Lab
from fabfile.terms import RUNTIMES

PIECES = ("api", "web", "all")
BARE_ROUNDS = 3  # how often the bare restart is measured; odd, so that there is a median
LIMIT = 1.5  # the longest wait may take so many times the bare restart
_DESK = "/tmp/bench-desk"  # on the lab: a clone of the app's remote, to push commits from


@dataclass(frozen=True)
class Deploy:
    """One deploy of these pieces, and what users got meanwhile."""

    pieces: str
    seconds: float
    hold: Hold | None
    impact: Tally
    building: Tally | None  # None where nothing had to be built


def main() -> int:
    """Measure and print; returns 0 when nobody failed or waited for too long, else 1."""
    options = _options()
    try:
        with load.booted(options.name, Choices()) as lab:
            site = inventory.load(lab.inventory, {})
            return 0 if asyncio.run(_measure(lab, site, options)) else 1
    except (methods.BenchError, CutoverError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


async def _measure(lab: Lab, site: Site, options: argparse.Namespace) -> bool:
    tool, commits = methods.Tool(lab), _commits(lab, site, options.refs)
    if tool.owner() != options.runtime:
        show.progress(f"hand-over to {options.runtime}")
        tool.run(*(("cutover",) if options.runtime == "native" else ("rollback", "--full")))
    deploys: list[Deploy] = []
    async with load.crowd(lab, site, options) as crowd:
        run = load.Run(crowd)
        await run.part("nothing happens", lambda: time.sleep(options.idle))
        for pieces in options.pieces:
            for number in range(1, options.rounds + 1):
                show.progress(f"deploy of {pieces} {number}")
                words = ("deploy", "--ref", next(commits), *([] if pieces == "all" else ["--pieces", pieces]))
                events = await run.part(f"{pieces} {number}", functools.partial(tool.run, *words))
                deploys.append(_deploy(crowd, run.parts[-1], pieces, events))
    quiet = _tally(crowd, [(run.parts[0].started, run.parts[0].ended)])
    bare = {pieces: _bare(lab, site, options.runtime, pieces) for pieces in options.pieces}
    return table(show.wide_console(), deploys, quiet, bare)


def _deploy(crowd: Crowd, part: show.Part, pieces: str, events: Sequence[figures.Event]) -> Deploy:
    """What was measured of one deploy. Answers to come within `load.SETTLE_SECONDS` of its end are among it."""
    impact = _tally(crowd, [(part.started, time.monotonic())])
    built = figures.windows(events, ("built", "made"), time.time() - time.monotonic())
    return Deploy(pieces, part.took, figures.hold(events), impact, _tally(crowd, built) if built else None)


def _tally(crowd: Crowd, windows: Sequence[Window]) -> Tally:
    inside = (s for s in crowd.samples if any(start <= s.started < end for start, end in windows))
    return figures.tally(inside)


def _commits(lab: Lab, site: Site, refs: Sequence[str]) -> Iterator[str]:
    """The commits to deploy, one after the other: those that are named in turn, else new ones that change nothing."""
    if refs:
        return itertools.cycle(refs)
    user = ["sudo", "-u", site.app.user]
    lab.run(["rm", "-rf", _DESK])
    lab.run([*user, "git", "clone", "--quiet", ORIGIN, _DESK])
    return (_new_commit(lab, user, number) for number in itertools.count(1))


def _new_commit(lab: Lab, user: Sequence[str], number: int) -> str:
    git = [*user, "git", "-C", _DESK, "-c", "user.name=bench", "-c", "user.email=bench@islandflow.test"]
    lab.run([*git, "commit", "--quiet", "--allow-empty", "--message", f"Nothing {number}"])
    lab.run([*git, "push", "--quiet"])
    return str(lab.run([*git, "rev-parse", "HEAD"]).stdout).strip()


def _bare(lab: Lab, site: Site, runtime: str, pieces: str) -> float:
    """Seconds of the bare restart of what is held in a deploy of these pieces: the median of some."""
    hand = methods.ByHand(lab, site)
    services = [service for service in (site.api, site.web) if pieces in ("all", service.name)]
    times = []
    for number in range(1, BARE_ROUNDS + 1):
        show.progress(f"bare restart of {pieces} {number}")
        times.append(sum(hand.restart(runtime, service) for service in services))
        time.sleep(load.SETTLE_SECONDS)
    return figures.percentile(sorted(times), 0.5)


def table(report: Console, deploys: Sequence[Deploy], quiet: Tally, bare: dict[str, float]) -> bool:
    """Print a line for each kind of deploy; whether nobody failed, and nobody waited for too long."""
    rows, successful = [], True
    for pieces, restart in bare.items():
        those = [deploy for deploy in deploys if deploy.pieces == pieces]
        longest, failed = max(d.impact.longest for d in those), sum(d.impact.failed for d in those)
        holds = sorted(deploy.hold.seconds for deploy in those if deploy.hold)
        repeats = sum(sum(deploy.impact.repeats.values()) for deploy in those)
        successful = successful and not failed and longest <= LIMIT * restart
        rows.append((
            pieces, str(len(those)), f"{figures.percentile(sorted(d.seconds for d in those), 0.5):.1f} s",
            str(sum(d.impact.requests for d in those)), str(failed), str(repeats),
            f"{figures.percentile(holds, 0.5):.2f} s", f"{max(holds, default=0):.2f} s", f"{longest:.2f} s",
            f"{restart:.2f} s", f"{longest / restart:.2f}",
        ))  # fmt: skip
    columns = (
        "deploys of", "", "took", "requests", "failed", "repeats", "hold", "longest hold", "longest wait",
        "bare restart", "longest wait : bare",
    )  # fmt: skip
    report.table("Deploys under load (medians, but for what is called longest)", columns, rows)
    for deploy in deploys:
        for kind, count in sorted(deploy.impact.failures.items()):
            report.say(f"  {deploy.pieces}: {count} × {kind}")
    report.say(f"\nA request took {_spread(quiet)} while nothing happened;")
    for deploy in deploys:
        if deploy.building and deploy.building.requests:
            report.say(f"  {_spread(deploy.building)} while a release of {deploy.pieces} was built")
    return successful


def _spread(tally: Tally) -> str:
    return f"{tally.p50 * 1000:.0f} ms, and {tally.p99 * 1000:.0f} ms at the 99th percentile of {tally.requests},"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.deploy", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="deploys of each of the pieces (20)")
    parser.add_argument("--pieces", type=_pieces, default=PIECES, help="any of api, web and all (api,web,all)")
    parser.add_argument("--runtime", choices=RUNTIMES, default="native", help="who runs the app (native)")
    parser.add_argument("--refs", type=lambda text: text.split(","), default=[], help="commits to deploy in turn")
    load.add_options(parser)
    parser.add_argument("--idle", type=float, default=30.0, help="seconds of requests before the first deploy (30)")
    return parser.parse_args()


def _pieces(text: str) -> list[str]:
    """The kinds of deploys that are named. Raises ValueError."""
    if unknown := set(text.split(",")) - set(PIECES):
        raise ValueError(unknown)
    return text.split(",")


if __name__ == "__main__":
    sys.exit(main())
