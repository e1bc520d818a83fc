"""`islandflow` in a process of its own, with a stand-in for the VPS: python -m tests.support.operator OWNER WORDS…

A plan takes some seconds there, as by its events. HELD in the environment has it stop in the middle until a file of
that name is there.
"""

from __future__ import annotations

import datetime
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fabfile import cli
from fabfile.commands import session
from fabfile.plans.plan import Plan
from fabfile.runner.wire.events import Event, Kind
from fabfile.runner.wire.facts import Facts
from fabfile.terms import runtime_named
from tests.support import facts
from tests.support.fake_host import FakeHost

IMPACT = {"flow.example": {"requests": 412, "failures": 0, "waiting": 2, "longest_wait_ms": 2130}}
HEALTHY = {"health": {"native/api": "healthy"}, "impact": {}, "held_ms": 2000}


class Vps(FakeHost):
    """Executes no plan, and tells of it as if it did."""

    def ship(self, plan: Plan, facts: Facts, secrets: Mapping[str, str]) -> Iterator[Event]:
        return self._executed(plan.id, plan.name)

    def follow(self, plan_id: str, told: int = 0) -> Iterator[Event]:
        yield self._event(plan_id, "start", None, name="cutover", who="ana", steps=2)
        yield self._event(plan_id, "finished", None, outcome="reverted", why="the operator asked to revert", **HEALTHY)

    def _executed(self, plan_id: str, name: str) -> Iterator[Event]:
        yield self._event(plan_id, "start", None, name=name, who="ana", steps=2)
        yield self._event(plan_id, "start", "first step", what="write files", before={}, hold="begins")
        yield self._event(plan_id, "done", "first step", hold="begins")
        yield self._event(plan_id, "start", "second step", what="start the app", before={})
        held = os.environ.get("HELD", "")
        while True:
            yield self._event(plan_id, "traffic", None, impact=IMPACT, held_ms=2000, hold_left_ms=43000)
            time.sleep(0.3)
            if not held or Path(held).exists():
                break
        yield self._event(plan_id, "done", "second step")
        yield self._event(plan_id, "finished", None, outcome="done", **HEALTHY)

    def _event(self, plan_id: str, kind: Kind, step: str | None, **evidence: Any) -> Event:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        return Event(now, plan_id, step, kind, 100, evidence)


def main() -> None:
    """Run the command with the words that follow the owner."""
    owner = runtime_named(sys.argv.pop(1)) or "docker"
    site = session.load_site()
    with tempfile.TemporaryDirectory() as folder:
        vps = Vps(facts.serving(site, owner, facts.edge_to(site, owner, Path(folder))))
    with pytest.MonkeyPatch.context() as patch:
        vps.stand_in(patch)
        cli.main()


if __name__ == "__main__":
    main()
