"""Statistics, outage windows and the hold, from samples and events that are known."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import figures
from bench.client import Request, Sample
from bench.figures import StepTime, agrees, outages, percentile, tally, union

PAGE, API = Request("page", "app.test", "/"), Request("API", "api.test", "/health")


def sample(at: float, failure: str = "", seconds: float = 0.01, question: Request = PAGE, **more: Any) -> Sample:
    return Sample(question, at, seconds, failure, **more)


def event(kind: str, step: str | None, second: float, ms: int = 0, **evidence: Any) -> dict[str, Any]:
    time = f"2026-01-01T00:00:{second:06.3f}+00:00"
    return {"kind": kind, "step": step, "time": time, "ms": ms, "evidence": evidence}


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, 0), ([7], 0.99, 7), ([1, 2, 3, 4], 0.5, 2), ([1, 2, 3], 0.5, 2), (list(range(1, 101)), 0.99, 99)],
)
def test_percentiles_are_values_that_were_measured(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_an_outage_lasts_from_the_first_failure_to_the_next_success() -> None:
    found = outages([sample(1), sample(2, "502"), sample(3, "502"), sample(4), sample(5, "reset"), sample(6)])
    assert found == [(2, 4), (5, 6)]


def test_an_outage_that_lasts_ends_with_its_last_try() -> None:
    assert outages([sample(1), sample(2, "timeout", 10), sample(3, "502", 0.5)]) == [(2, 3.5)]


def test_samples_count_in_the_order_in_which_they_were_sent() -> None:
    slow = sample(1, "timeout", seconds=60)
    assert outages([sample(0), sample(2), slow]) == [(1, 2)]


def test_what_one_question_gets_is_no_success_for_another() -> None:
    found = tally([sample(1, "502"), sample(2, question=API), sample(3, "502"), sample(4)])
    assert found.outages == ((1, 4),) and found.away == 3


def test_outages_that_overlap_count_once() -> None:
    assert union([(5, 6), (1, 3), (2, 4), (4, 4.5)]) == [(1, 4.5), (5, 6)]


windows = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)).map(lambda pair: (pair[0], pair[0] + pair[1])))


@given(windows)
def test_a_union_covers_the_same_and_nothing_twice(some: list[tuple[int, int]]) -> None:
    merged = union([(float(start), float(end)) for start, end in some])
    covered = {tenth for start, end in some for tenth in range(start * 10, end * 10)}
    assert {t for start, end in merged for t in range(int(start) * 10, int(end) * 10)} == covered
    assert all(one[1] < other[0] for one, other in itertools.pairwise(merged))


def test_a_tally_tells_failures_by_kind_repeats_apart_and_waits() -> None:
    found = tally([
        sample(1, seconds=0.1, runtime="docker"),
        sample(2, "answered 502", 3.0),
        sample(3, "answered 502"),
        sample(4, "timeout", 60.0),
        sample(5, seconds=0.2, repeated=True, runtime="native"),
        sample(6, seconds=0.3, runtime="native"),
    ])  # fmt: skip
    assert (found.requests, found.failed, found.repeats) == (6, 3, {"GET": 1})
    assert found.failures == {"answered 502": 2, "timeout": 1}
    assert (found.longest, found.p50, found.p99) == (60.0, 0.2, 0.3)
    assert found.runtimes == {"docker": 1, "native": 2}


def test_nothing_amounts_to_nothing() -> None:
    found = tally([])
    assert (found.requests, found.failed, found.longest, found.p50, found.away) == (0, 0, 0, 0, 0)


PARKING = [
    event("start", None, 0),
    event("noop", "infra: users", 1, why="there"),
    event("start", "edge: parking lot opened", 1.4),
    event("done", "edge: parking lot opened", 1.5, 100),
    event("start", "edge: point to the parking lot", 1.6, hold="begins"),
    event("done", "edge: point to the parking lot", 2, 400),
    event("start", "docker: app stopped", 2),
    event("done", "docker: app stopped", 3.5, 1500),
    event("noop", "app: on at boot", 3.6, why="there"),
    event("start", "edge: parked requests to native", 5.2),
    event("done", "edge: parked requests to native", 5.25, 50, hold="ends"),
    event("start", "edge: point to native", 5.3),
    event("done", "edge: point to native", 6, 700),
    event("finished", None, 7, impact={"app.test": {"failures": 0}}),
]


def test_the_hold_is_from_pointing_to_the_parking_lot_until_those_parked_are_let_go() -> None:
    found = figures.hold(PARKING)
    assert found and found.seconds == pytest.approx(3.65)
    assert found.step_times == (
        StepTime("edge: point to the parking lot", 0.4),
        StepTime("docker: app stopped", 1.5),
        StepTime("edge: parked requests to native", 0.05),
    )
    assert len(figures.step_times(PARKING)) == 5


@pytest.mark.parametrize("missing", ["begins", "ends"])
def test_a_plan_that_parks_nothing_has_no_hold(missing: str) -> None:
    events = [e for e in PARKING if e["evidence"].get("hold") != missing]
    assert figures.hold(events) is None


def test_a_build_lasts_from_its_start_until_it_is_done_or_has_failed() -> None:
    events = [
        event("start", "app: release made", 1),
        event("done", "app: release made", 2, 1000),
        event("noop", "app: api built", 2, why="it is built"),
        event("start", "app: web built", 2.5),
        event("failed", "app: web built", 4),
        event("undone", "app: web built", 5),
        event("finished", None, 6),
    ]
    started = datetime.datetime.fromisoformat(events[0]["time"]).timestamp()
    found = figures.windows(events, ("built", "made"), started - 1)
    assert found == [pytest.approx((1, 2)), pytest.approx((2.5, 4))]


def test_the_runners_record_is_in_the_last_event() -> None:
    assert figures.public_impact(PARKING) == {"app.test": {"failures": 0}}


@pytest.mark.parametrize(
    ("failures", "outage_ms", "seen", "expected"),
    [
        (0, 0, [], True),
        (40, 3000, [(1.0, 4.2)], True),
        (40, 3000, [(1.0, 9.0)], False),
        (40, 3000, [], False),
        (0, 0, [(1.0, 1.2)], True),
        (0, 0, [(1.0, 3.0)], False),
        (1, 55, [], True),
    ],
)
def test_the_two_records_agree_or_do_not(
    failures: int, outage_ms: int, seen: list[tuple[float, float]], expected: bool
) -> None:
    edges = [at for start, end in seen for at in (sample(start, "502"), sample(end))]
    assert agrees({"failures": failures, "outage_ms": outage_ms}, tally(edges)) is expected
