"""What a record makes of a journal."""

from __future__ import annotations

from typing import Any

import pytest

from fabfile.record.model import Amount, Outage, document
from tests.record import journals


def test_a_plan_that_was_carried_out() -> None:
    made = document(journals.DONE, journals.CHECKS)
    (course,) = made.courses
    assert (made.name, made.outcome, made.who, made.host, made.seconds) == ("cutover", "done", "ana@laptop", "vps", 10)
    assert (made.requests, made.failures, made.longest_wait_seconds, made.held_seconds) == (400, 0, 3, 5.1)
    assert course.no_ops == (("infra: users", "they exist"),)
    assert [stage.name for stage in course.stages][:2] == ["app: units", "edge: point to the parking lot"]
    assert [(span.kind, span.began, span.seconds) for span in course.stages[0].spans] == [("done", 0.3, 0.6)]
    assert (course.hold, course.waited) == ((1, 6.1), (7, 10))
    assert made.diffs[0].path == journals.LONG and (made.diffs[0].added, made.diffs[0].removed) == (1, 1)


def test_hostnames_are_summed_up_for_the_plot_slice_by_slice() -> None:
    moments = document(journals.REVERTED).moments
    assert len(moments) == 20
    assert [(m.at, m.requests, m.failures, m.longest_wait_ms) for m in moments[6:9:2]] == [
        (3.0, 20, 0, 3000),
        (4.0, 20, 14, 12),
    ]


def test_a_reverted_plan_has_changed_nothing() -> None:
    made = document(journals.REVERTED)
    stage = next(s for s in made.courses[0].stages if s.name == "docker: app stopped")
    assert [span.kind for span in stage.spans] == ["failed", "undone"] and stage.seconds == 3
    assert made.diffs == () and made.why == "exit 1"
    assert made.courses[0].hold == (1, 6), "parked requests flow to the runtime that is back"
    assert made.outages == (Outage("flow.test", 4.1, 0.4, "7 × answered 502"),)


def test_what_was_handed_over_is_the_table_of_the_comparison_that_passed() -> None:
    rows = [["redis", "db0", 500, 490], ["nats", "stream PRINTS", 7, 7]]
    counted = journals.at(2, "done", "data: counted", held={"redis": {"db0": 500}})
    compared = journals.at(3, "done", "data: all there", handed_over=rows)
    doc = document([*journals.DONE[:2], counted, compared])
    assert doc.handed_over == (Amount("redis", "db0", 500, 490), Amount("nats", "stream PRINTS", 7, 7))
    assert document(journals.DONE).handed_over == ()


def test_what_was_cut_off_is_told_as_such() -> None:
    made = document(journals.CUT_OFF)
    assert made.outcome == "unfinished"
    assert made.courses[0].stages[-1].kind == "cut off"


def test_a_later_revert_has_a_timeline_of_its_own_and_keeps_the_impact_before() -> None:
    made = document(journals.REVERTED_LATER)
    first, second = made.courses
    assert (first.reverting, second.reverting, second.seconds) == (False, True, 4)
    assert (made.outcome, made.failures) == ("reverted", 14)
    assert first.stages[-1].kind == "stuck" and second.stages[0].kind == "undone"


def test_limitations_are_the_warnings_of_preflight_and_of_the_checks() -> None:
    told = document(journals.DONE, journals.CHECKS, ["the adapter is overridden"]).limitations
    assert [text.split(":")[0] for text in told] == [
        "a second Compose project runs",
        "port 3000 (web) is closed",
        "the adapter is overridden",
    ]


@pytest.mark.parametrize("events", [[], ()])
def test_no_event_no_record(events: Any) -> None:
    with pytest.raises(ValueError, match="without an event"):
        document(events)
