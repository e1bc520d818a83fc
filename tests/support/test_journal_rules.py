"""The rules must be able to say no: each broken journal breaks exactly one of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.journal_rules import Event, told


def event(kind: str, step: str | None = None, **evidence: Any) -> Event:
    return {"version": 1, "time": "t", "plan": "p", "step": step, "kind": kind, "ms": 1, "evidence": evidence}


def start(step: str | None = None, **evidence: Any) -> Event:
    return event("start", step, before={}, what="act", **evidence)


def done(step: str) -> Event:
    return event("done", step, verified=[])


def finished(outcome: str, **evidence: Any) -> Event:
    return event("finished", outcome=outcome, health={}, why="because", **evidence)


FAILED = [start(), start("a"), done("a"), start("b"), event("failed", "b", error="no")]
BACK = [event("undo", "b"), event("undone", "b"), event("undo", "a"), event("undone", "a")]


@pytest.mark.parametrize(
    "events",
    [
        [start(), start("a"), done("a"), finished("done")],
        [start(), event("noop", "a", why="so"), finished("nothing")],
        [*FAILED, *BACK, finished("reverted")],
        [*FAILED, event("undo", "b"), event("stuck", "b", error="no"), finished("stuck", stuck_at="b", error="no")],
        [*FAILED, BACK[0], start(reverting=True), *BACK, finished("reverted")],
        [*FAILED, event("undone", "b", why="needs none"), *BACK[2:], finished("reverted")],
    ],
)
def test_what_may_happen(events: list[Event]) -> None:
    story = told(events, ["a", "b"])
    assert story.outcome == events[-1]["evidence"]["outcome"]
    assert told(events[:-1], ["a", "b"]).outcome == ""


@pytest.mark.parametrize(
    ("why", "events"),
    [
        ("before the plan's start", [start("a")]),
        ("is not done yet", [start(), start("a"), start("b")]),
        ("begun twice", [start(), start("a"), done("a"), start("a")]),
        ("is the one that was begun", [start(), start("a"), done("b")]),
        ("after finished", [start(), finished("nothing"), start("a")]),
        ("started again", [start(), finished("nothing"), start(reverting=True)]),
        ("only a revert", [*FAILED, start()]),
        ("comes first", [*FAILED, event("undo", "a")]),
        ("on the way back", [*FAILED, start("c")]),
        ("not undone", [*FAILED, *BACK[:2], finished("reverted")]),
        ("reverted, and yet not", [*FAILED, *BACK, finished("done")]),
        ("nothing is left", [*FAILED, *BACK, event("undone", "a")]),
        ("neither an undo", [*FAILED, event("undone", "b")]),
        ("out of the plan's order", [start(), start("b"), done("b"), start("a"), done("a")]),
        ("no such event", [start(), event("danced", "a")]),
        ("step given or not", [start(), event("done")]),
    ],
)
def test_what_may_not(why: str, events: list[Event]) -> None:
    with pytest.raises(AssertionError, match=why):
        told(events, ["a", "b"])
