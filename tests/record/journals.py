"""Journals of plans that ended in every way, with whatever makes a page hard to lay out."""

from __future__ import annotations

import datetime
from typing import Any

from fabfile.public import Check
from fabfile.runner.wire.events import Event, Kind

PLAN = "20260101T120000-cutover-abcdef"
BEGAN = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
LONG = "/home/delta/.config/systemd/user/" + "a-very-long-name-without-any-break-" * 4 + ".service"


def at(second: float, kind: Kind, step: str | None = None, /, **evidence: Any) -> Event:
    """An event, so many seconds after the plan's first."""
    time = (BEGAN + datetime.timedelta(seconds=second)).isoformat(timespec="milliseconds")
    return Event(time, PLAN, step, kind, round(second * 1000), evidence)


def impact(failures: int = 0) -> dict[str, Any]:
    """What two hostnames got in 10 s, the failures in the fifth."""
    series = [[10, failures if n == 8 else 0, 3000 if n == 6 else 12] for n in range(20)]
    tally = {
        "requests": 200, "failures": failures, "longest_wait_ms": 3000, "outage_ms": 400 if failures else 0,
        "longest_outage_ms": 400 if failures else 0, "slice_ms": 500, "over_time": series,
    }  # fmt: skip
    return {"flow.test": tally, "api.flow.test": dict(tally)}


HEADING = {
    "name": "cutover", "who": "ana@laptop", "host": "vps", "settings": {"scope": "full", "to": "native"},
    "versions": {"native/redis": "8.0.1", "docker/redis": "7.4"},
    "warnings": ["a second Compose project runs: island\n→ stop it: docker compose -p island stop"],
}  # fmt: skip
DIFF = {"path": LONG, "lines": ["@@ -1,2 +1,2 @@", " [Service]", "-ExecStart=/bin/old", f"+ExecStart={LONG}"]}

DONE = [
    at(0, "start", **HEADING),
    at(0.2, "noop", "infra: users", why="they exist"),
    at(0.3, "start", "app: units", what=f"write {LONG}", before={"files": []}),
    at(0.9, "done", "app: units", written=[LONG], diffs=[DIFF], verified=[]),
    at(1, "start", "edge: point to the parking lot", what="point flow.test there", before={}, hold="begins"),
    at(2, "done", "edge: point to the parking lot", verified=["served"], hold="begins"),
    at(2, "start", "docker: app stopped", what="docker stop web api", before={}),
    at(4, "done", "docker: app stopped", stopped=["web", "api"], verified=["all down"]),
    at(6, "start", "edge: parked requests to native", what="let them through", before={}, hold="ends"),
    at(6.1, "done", "edge: parked requests to native", parked=12, verified=[], hold="ends"),
    at(7, "waiting", seconds=120),
    at(
        10, "finished", outcome="done", impact=impact(), held_ms=5100,
        health={"native/api": "healthy", "docker/api": "there is no container"},
    ),
]  # fmt: skip

REVERTED = [
    *DONE[:7],
    at(4, "failed", "docker: app stopped", error="exit 1: " + "no such container " * 9),
    at(4, "undo", "docker: app stopped"),
    at(4.5, "outage", watch="flow.test", lasted_ms=400, errors={"answered 502": 7}, over=True),
    at(5, "undone", "docker: app stopped", verified=["web and api are up again"]),
    at(5, "undo", "edge: point to the parking lot"),
    at(6, "undone", "edge: point to the parking lot"),
    at(6, "undo", "app: units"),
    at(6.2, "undone", "app: units"),
    at(
        7,
        "finished",
        outcome="reverted",
        why="exit 1",
        impact=impact(7),
        held_ms=5000,
        health={"docker/api": "healthy"},
    ),
]

STUCK = [
    *REVERTED[:9],
    at(5, "stuck", "docker: app stopped", error="port 4000 is held by a stranger"),
    at(
        6, "finished", outcome="stuck", why="exit 1", stuck_at="docker: app stopped", error="port 4000 is held",
        impact=impact(7), held_ms=5000, health={"docker/api": "container is exited"},
    ),
]  # fmt: skip

REVERTED_LATER = [
    *STUCK,
    at(600, "start", **HEADING, reverting=True),
    at(600.1, "undo", "docker: app stopped"),
    at(602, "undone", "docker: app stopped", tries=2),
    at(604, "finished", outcome="reverted", why="the plan was interrupted", health={"docker/api": "healthy"}),
]

CUT_OFF = DONE[:7]

ENDED = {"done": DONE, "reverted": REVERTED, "stuck": STUCK, "reverted later": REVERTED_LATER, "cut off": CUT_OFF}

CHECKS = [
    Check("TLS of flow.test", True, "valid for 89 days", 3),
    Check("port 3000 (web) is closed", True, "answers: anybody can reach it past the edge", 5, warning=True),
    Check("/prints is the API's", False, "HTML: the web app answered <script>alert(1)</script>", 20),
]
