"""Events as the runner writes them, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

PLAN = "20260101T120000-cutover-abcd"


def event(kind: str, step: str | None = None, ms: int = 1500, /, **evidence: Any) -> dict[str, Any]:
    """One line of a journal."""
    return {
        "version": 1,
        "time": "2026-01-01T12:00:00.000+00:00",
        "plan": PLAN,
        "step": step,
        "event": kind,
        "ms": ms,
        "evidence": evidence,
    }


def begun(**settings: str) -> dict[str, Any]:
    """The first event of a plan."""
    return event("start", name="cutover", who="ana@laptop", settings=settings)


def finished(outcome: str, **evidence: Any) -> dict[str, Any]:
    """The last one."""
    return event("finished", None, 12300, outcome=outcome, **{"health": {}, **evidence})


def tally(**changes: int) -> dict[str, int]:
    """What a watch counted."""
    return {"requests": 400, "failures": 0, "longest_wait_ms": 2340, "outage_ms": 0, **changes}
