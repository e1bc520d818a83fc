"""Events as the runner writes them, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

from fabfile.runner.wire.events import Event, Impact, Kind

PLAN = "20260101T120000-cutover-abcd"


def event(kind: Kind, step: str | None = None, ms: int = 1500, /, **evidence: Any) -> Event:
    """One event of a journal."""
    return Event("2026-01-01T12:00:00.000+00:00", PLAN, step, kind, ms, evidence)


def begun(**settings: str) -> Event:
    """The first event of a plan."""
    return event("start", name="cutover", who="ana@laptop", settings=settings)


def finished(outcome: str, **evidence: Any) -> Event:
    """The last one."""
    return event("finished", None, 12300, outcome=outcome, **{"health": {}, **evidence})


def tally(failures: int = 0, outage_ms: int = 0) -> Impact:
    """What a watch counted."""
    return {"requests": 400, "failures": failures, "longest_wait_ms": 2340, "outage_ms": outage_ms}
