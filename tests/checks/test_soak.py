"""What a soak's samples say to do: by data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.checks import soak
from fabfile.checks.soak import Recommendation, SoakReport, recommend, restarts, trend
from fabfile.runner.wire.app import StreamsRef
from fabfile.runner.wire.codec import encode
from fabfile.runner.wire.edge import EdgeRef
from fabfile.runner.wire.events import Event
from fabfile.runner.wire.soak import Asked, ConsumerLag, Memory, Sample, Served, Soak, WorkloadSample
from tests.support.events import event

MB = 10**6
ID = "20260101T120000-soak-abcdef"
NOWHERE = (StreamsRef("p", "/owner", {}), EdgeRef("/npm", "/npm/db", "npm", "net", ("flow",)), ())
DAY = Soak(ID, "ana@laptop", 86400.0, 60.0, (), *NOWHERE)
EVERY = 60.0


def sample(number: int, **changes: Any) -> Sample:
    """A sample in which all is well."""
    return Sample(
        at=number * EVERY,
        owner="native",
        boot="b1",
        workloads={"api": WorkloadSample(True, "healthy", 100, 0, Memory(200 * MB))},
        durables={"api-alerts": ConsumerLag(2, 1, 0)},
        edge={"flow": Asked(60, 0)},
        served={"flow": Served(300, 0)},
        **changes,
    )


def day(change: Callable[[int, Sample], Sample] = lambda n, s: s, count: int = 1441, **more: Any) -> SoakReport:
    """A soak of a day, each sample changed."""
    return SoakReport(
        DAY, "2026-01-01T12:00:00", more.pop("ended", "time"), tuple(change(n, sample(n)) for n in range(count))
    )


def said(change: Callable[[int, Sample], Sample], **more: Any) -> Recommendation:
    return recommend(day(change, **more))


def pulse(**changes: Any) -> Callable[[Sample], Sample]:
    return lambda s: replace(s, workloads={"api": replace(s.workloads["api"], **changes)})


def test_where_all_was_well_it_says_keep() -> None:
    found = recommend(day())
    assert (found.verdict, found.command) == ("keep native", "")
    assert found.sentence == (
        "keep native: all was healthy in 1441 samples of 24 h; nothing was restarted; neither memory nor lag grew "
        "steadily; none of 86460 requests at the edge failed."
    )
    cells = {figures.what: figures.cells for figures in found.metrics}
    assert cells == {
        "api": ("1441 of 1441", "0", "200 → 200 MB (+0.0 MB/h)"),
        "api-alerts": ("3 → 3", "3", "0"),
        "flow": ("86460", "0", "0 of 432300"),
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda n, s: pulse(ok=False, text="nothing listens")(s) if n == 700 else s,
            "api was not healthy in 1 of 1441",
        ),
        (lambda n, s: pulse(pid=101 if n > 700 else 100)(s), "api was restarted once"),
        (lambda n, s: pulse(memory=Memory(200 * MB + n * MB // 10))(s), "grows steadily in memory: 218 → 326 MB (+6.0"),
        (lambda n, s: replace(s, durables={"api-alerts": ConsumerLag(n, 5, 0)}), "api-alerts falls behind: 184 → 1265"),
        (lambda n, s: replace(s, edge={"flow": Asked(60, int(n == 3))}), "flow failed once of 86460"),
        (lambda n, s: replace(s, served={"flow": Served(9, 2 * (n == 3))}), "flow answered 5xx 2 times"),
    ],
)
def test_each_fault_says_go_back_with_its_reason_and_the_command(
    change: Callable[[int, Sample], Sample], reason: str
) -> None:
    found = said(change)
    assert (found.verdict, found.command) == ("go back", "inv rollback --full")
    assert len(found.reasons) == 1 and reason in found.reasons[0], found.reasons


def test_what_the_edge_answered_is_among_the_reasons() -> None:
    outage = {"watch": "flow", "lasted_ms": 900, "errors": {"answered 502": 2}, "over": True}
    failing = day(lambda n, s: replace(s, edge={"flow": Asked(60, 2 * (n == 3))}))
    assert recommend(replace(failing, outages=(outage, {**outage, "watch": "api"}))).reasons == (
        "flow failed 2 times of 86460 (2 × answered 502)",
    )


def test_what_failed_after_the_last_sample_counts_as_well() -> None:
    outage = {"watch": "flow", "lasted_ms": 400, "errors": {"answered 502": 1}, "over": False}
    assert recommend(replace(day(), outages=(outage,))).verdict == "go back"


# ── Memory and lag ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "held",
    [
        lambda n: 200 + 90 * min(n, 300) // 300,  # a warm-up
        lambda n: 200 + 15 * n // 1440,  # less than the least
        lambda n: 1000 + 90 * n // 1440,  # less than its share
        lambda n: 200 + n % 60,  # a heap between two collections
        lambda n: 300 - n // 10,
        lambda n: 200 + 90 * (n > 1200),  # a step in the last quarter only
    ],
)
def test_memory_that_does_not_grow_steadily_is_kept(held: Callable[[int], int]) -> None:
    assert said(lambda n, s: pulse(memory=Memory(held(n) * MB))(s)).verdict == "keep native"


def test_a_cache_that_grows_is_no_leak() -> None:
    assert said(lambda n, s: pulse(memory=Memory(200 * MB, n * MB))(s)).verdict == "keep native"


def test_what_has_just_started_is_not_judged_by_its_memory() -> None:
    short = day(lambda n, s: replace(pulse(memory=Memory((200 + 9 * n) * MB))(s), at=s.at / 60), count=21)
    short = replace(short, soak=replace(DAY, seconds=20.0, every=1.0))
    found = recommend(short)
    assert found.verdict == "keep native" and "too short to assess memory" in found.sentence
    assert found.metrics[0].cells[-1] == "200 → 380 MB", "no rate from seconds"


def test_a_lag_that_comes_and_goes_is_kept_up_with() -> None:
    assert (
        said(lambda n, s: replace(s, durables={"api-alerts": ConsumerLag(n % 400 * 10, 0, 0)})).verdict == "keep native"
    )


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e12)), max_size=60))
def test_any_series_has_a_trend_once_it_is_long_enough(series: list[tuple[float, float]]) -> None:
    found = trend(sorted(series))
    assert (found is None) == (len(series) < soak.MIN_SAMPLES)
    if found:
        assert len(found.quarters) == 4
        assert not found.steady or list(found.quarters) == sorted(found.quarters)


@given(st.integers(12, 500), st.floats(1, 1e6), st.floats(0, 1e9))
def test_a_straight_line_grows_steadily_and_its_rate_is_its_slope(count: int, slope: float, start: float) -> None:
    found = trend([(n * EVERY, start + slope * n) for n in range(count)])
    assert found and found.steady and found.per_hour == pytest.approx(slope * 60, rel=1e-3)


# ── Restarts ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        ([(1, 0), (1, 0)], 0),
        ([(1, 0), (2, 0)], 1),
        ([(1, 0), (2, 1)], 1),
        ([(1, 0), (9, 4)], 4),
        ([(1, 3), (2, 0)], 1),  # by hand: the counter begins anew
        ([(1, 0), (0, 1), (2, 1)], 1),  # between two processes
        ([(1, 0), (0, 0), (1, 0)], 0),
        ([(1, 0), (0, 3)], 3),
        ([(0, 0), (1, 0)], 0),
        ([], 0),
    ],
)
def test_restarts_are_counted_by_process_and_counter(seen: list[tuple[int, int]], count: int) -> None:
    assert restarts([("b", WorkloadSample(True, "", pid, counter)) for pid, counter in seen]) == count


def test_a_reboot_is_no_restart_and_is_told() -> None:
    found = said(lambda n, s: replace(pulse(pid=500)(s), boot="b2") if n > 700 else s)
    assert found.verdict == "keep native" and "nothing was restarted, but the VPS once" in found.sentence


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 9)), max_size=20))
def test_no_story_has_fewer_restarts_than_none(seen: list[tuple[str, int, int]]) -> None:
    assert restarts([(boot, WorkloadSample(True, "", pid, counter)) for boot, pid, counter in seen]) >= 0


# ── Where the evidence is thin ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (day(count=600, ended="stopped"), "it was stopped early, after 10 of 24 h"),
        (day(count=600, ended="cut off"), "it was cut off, after 10 of 24 h"),
        (day(count=5), "there are only 5 samples, and 12 are the fewest"),
        (day(count=0), "there are only 0 samples"),
        (day(lambda n, s: replace(s, at=s.at * 2), count=720), "there are only 720 of 1439 samples"),
        (
            day(lambda n, s: replace(s, problems=("JetStream: refused",) if n % 3 == 0 else ())),
            "481 more lack something: Jet",
        ),
        (day(lambda n, s: replace(s, edge={})), "nobody asked at the edge"),
    ],
)
def test_too_little_was_seen_to_say_that_all_is_well(told: SoakReport, reason: str) -> None:
    found = recommend(told)
    assert (found.verdict, found.command) == ("look first", "")
    assert any(reason in text for text in found.reasons), found.reasons


def test_a_fault_needs_no_further_evidence() -> None:
    found = said(lambda n, s: pulse(pid=100 + n)(s), count=5, ended="stopped")
    assert found.verdict == "go back" and "api was restarted 4 times" in found.sentence


def test_once_somebody_has_rolled_back_there_is_nothing_to_go_back_to() -> None:
    def rolled(n: int, s: Sample) -> Sample:
        ill = replace(pulse(ok=False, text="there is no container")(s), owner="docker")
        return ill if n == 99 else s

    found = said(rolled, count=100, ended="owner")
    assert found.sentence == "look first: the owner changed from native to docker."


@pytest.mark.parametrize(("count", "verdict"), [(1441, "keep docker"), (5, "look first")])
def test_a_soak_under_docker_never_says_go_back(count: int, verdict: str) -> None:
    assert said(lambda n, s: replace(s, owner="docker"), count=count).verdict == verdict
    ill = said(lambda n, s: replace(pulse(ok=False)(s), owner="docker"), count=count)
    assert (ill.verdict, ill.command) == ("look first", "")


# ── From its lines ──────────────────────────────────────────────────────────────────────────────────────────────────


def lines(*more: Event) -> list[Event]:
    seen = [event("sample", sample=encode(sample(n))) for n in range(2)]
    return [event("start", who="ana@laptop", began=1.0, soak=encode(DAY)), *seen, *more]


@pytest.mark.parametrize(
    ("events", "running", "ended"),
    [
        (lines(), True, ""),
        (lines(), False, "cut off"),
        (lines(event("finished", why="time")), False, "time"),
        (lines(event("outage", watch="flow", errors={}), event("finished", why="owner")), True, "owner"),
    ],
)
def test_a_soak_is_read_from_its_lines(events: list[Event], running: bool, ended: str) -> None:
    told = soak.soak_report(events, running)
    assert (told.soak, told.ended, len(told.samples), told.owner) == (DAY, ended, 2, "native")
    assert len(told.outages) == sum(line.kind == "outage" for line in events)
