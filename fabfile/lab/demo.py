"""Cutover and rollback before one's eyes: a lab is cut over and rolled back while the public keeps asking."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabfile import inventory
from fabfile.console import Console
from fabfile.inventory import Site
from fabfile.lab.lab import Lab
from fabfile.runner.availability import Watcher
from fabfile.runner.wire.events import Measured
from fabfile.runner.wire.plan import Watch


@dataclass(frozen=True)
class Half:
    """One way of the job: the request, how long it took, failed requests and longest wait meanwhile."""

    name: str
    seconds: float
    impact: dict[str, Measured]


class Quiet:
    """Stands where the runner's watcher has its journal: the demo only wants the sums."""

    def write(self, event: str, step: str | None = None, /, **evidence: Any) -> None:
        pass


def main() -> int:
    """Boot a lab, show status, cut over, show status, roll back, show status, and sum up. 0 when both ways worked."""
    lab = Lab("demo")
    print("Booting a VPS in a box; the first time this builds it, which takes a few minutes.", flush=True)
    lab.up()
    os.environ["ISLANDFLOW_INVENTORY"] = str(lab.inventory)
    site = inventory.load(lab.inventory, os.environ)
    try:
        _run("status")
        halves = [_half(site, "cutover", "--yes"), _half(site, "rollback", "--full", "--yes")]
    finally:
        lab.down()
    _table(halves)
    return 0


def _half(site: Site, *words: str) -> Half:
    watcher = Watcher(public(site), Quiet())
    started = time.monotonic()
    with watcher:
        _run(*words)
    half = Half(" ".join(words), time.monotonic() - started, watcher.impact())
    _run("status")
    return half


def _run(*words: str) -> None:
    """Run the tool as an operator would, and stop the demo where it fails."""
    print(f"\n$ islandflow {' '.join(words)}", flush=True)
    subprocess.run([str(Path(sys.executable).with_name("islandflow")), *words], check=True)


def public(site: Site) -> tuple[Watch, ...]:
    """What the public asks for, from outside the VPS."""
    edge = site.edge
    asked = (
        ("app", edge.app_domain, "/"),
        ("API", edge.api_domain, site.api.health or "/"),
        ("API route", edge.app_domain, f"/{edge.api_prefixes[0]}/"),
    )
    patience = edge.hold_limit + 15  # seconds; as browsers, it waits while requests are held
    place = (site.origin, site.public.https_port)
    return tuple(Watch(name, *place, domain, path, patience) for name, domain, path in asked)


def _table(halves: list[Half]) -> None:
    rows = [
        (
            half.name,
            f"{half.seconds:.1f} s",
            name,
            str(got["requests"]),
            str(got["failures"]),
            f"{got['longest_outage_ms'] / 1000:.2f} s",
        )
        for half in halves
        for name, got in half.impact.items()
    ]
    print()
    Console().table(
        "Requests through the edge", ("", "took", "asked for", "requests", "failed", "longest outage"), rows
    )


if __name__ == "__main__":
    sys.exit(main())
