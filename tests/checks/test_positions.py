"""Positions only move forward and nothing is skipped, by looks as data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fabfile.checks.streams import Positions
from fabfile.runner.wire.app import Consumer, JetStream, Stream
from fabfile.terms import Runtime

FIRST, SECOND = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def consumer(floor: int, delivered: int, deliveries: int, created: str = FIRST) -> Consumer:
    return Consumer(True, 0, delivered - floor, 0, delivered, deliveries, floor, created)


def look(last: int = 100, runtime: Runtime = "docker", **consumers: Consumer) -> JetStream:
    return JetStream(runtime, {"PRINTS": Stream(1, 1, last, last, consumers)})


def away(runtime: Runtime = "docker") -> JetStream:
    return JetStream(runtime, problem="Connection refused")


def watched(*looks: JetStream) -> tuple[list[str], dict[str, str]]:
    """What was told while these came, one a second, and what is not good in the end."""
    seen = Positions()
    told = [text for at, one in enumerate(looks) for text in seen.observe(float(at), one)]
    return told, {what: text for what, ok, text in seen.rows() if not ok}


def test_what_moves_forward_is_summed_up() -> None:
    seen = Positions()
    for at, floor in enumerate((10, 10, 25)):
        seen.observe(at, look(20 + floor, api=consumer(floor, floor + 2, floor + 2)))
    assert list(seen.rows()) == [
        ("JetStream", True, "docker's answers"),
        ("PRINTS", True, "30 → 45 (+15)"),
        ("api", True, "10 → 25 (+15)"),
    ]


def test_a_hand_over_is_told_and_is_no_fault() -> None:
    told, bad = watched(
        look(100, api=consumer(10, 12, 12)),
        away(),
        away(),
        away("native"),
        look(100, "native", api=consumer(10, 12, 14)),
        look(110, "native", api=consumer(20, 22, 24)),
    )
    assert bad == {}
    assert told == [
        "docker's JetStream answers: 1 streams",
        "docker's JetStream does not answer: Connection refused",
        "native's JetStream answers after 3.0 s: 1 streams",
    ]


def test_a_stream_that_moved_back_is_told_at_once_and_in_the_end() -> None:
    told, bad = watched(look(100), look(90), look(120))
    assert told[1:] == ["✗ PRINTS: last message moved back from 100 to 90"]
    assert bad == {"PRINTS": "last message moved back from 100 to 90"}


def test_an_acknowledged_position_that_moved_back_is_told() -> None:
    _, bad = watched(look(api=consumer(50, 50, 50)), away(), look(api=consumer(40, 50, 50)))
    assert bad == {"api": "acknowledged position moved back from 50 to 40"}


def test_a_message_that_was_never_delivered_was_skipped() -> None:
    told, bad = watched(look(api=consumer(50, 50, 55)), look(api=consumer(60, 60, 62)))
    assert bad == {"api": "skipped 3 messages, somewhere up to 60"} and told[-1] == f"✗ api: {bad['api']}"


def test_repeated_deliveries_are_no_fault() -> None:
    assert watched(look(api=consumer(50, 60, 60)), look(api=consumer(50, 60, 70)))[1] == {}


def test_a_durable_made_anew_must_begin_where_the_former_had_got_to() -> None:
    former = consumer(50, 60, 75)
    _, bad = watched(look(api=former), look(), look(api=consumer(50, 62, 12, SECOND)))
    assert bad == {}, "from 51 on, 12 deliveries up to 62"
    _, bad = watched(look(api=former), look(api=consumer(99, 99, 0, SECOND)))
    assert bad == {"api": "skipped 49 messages, somewhere up to 99"}, "it began with what is new"


def test_what_is_gone_in_the_end_is_told_but_not_while_nobody_answers() -> None:
    assert watched(look(api=consumer(1, 1, 1)), look())[1] == {"api": "is gone"}
    assert watched(look(api=consumer(1, 1, 1)), JetStream("native"))[1] == {"PRINTS": "is gone", "api": "is gone"}
    assert watched(look(), JetStream("native"), look())[1] == {}, "streams come up after the monitoring"
    assert watched(look(api=consumer(1, 1, 1)), away())[1] == {"JetStream": "Connection refused"}


def test_nothing_seen_is_not_taken_for_good() -> None:
    assert watched()[1] == {"JetStream": "nobody looked yet"}
    told, bad = watched(JetStream(problem="the owner file holds 'both'"))
    assert told == ["the owner's JetStream does not answer: the owner file holds 'both'"] and bad


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), max_size=20))
def test_a_well_behaved_durable_is_never_complained_about(moves: list[tuple[int, int, int]]) -> None:
    delivered = deliveries = floor = 0
    looks = [look(0, api=consumer(0, 0, 0))]
    for new, acknowledged, repeated in moves:
        delivered += new
        deliveries += new + repeated
        floor = min(delivered, floor + acknowledged)
        looks.append(look(delivered, api=consumer(floor, delivered, deliveries)))
    assert watched(*looks)[1] == {}


@given(st.integers(1, 9), st.integers(0, 9))
def test_every_skip_is_found(skipped: int, delivered: int) -> None:
    _, bad = watched(look(api=consumer(0, 10, 10)), look(api=consumer(10, 10 + delivered + skipped, 10 + delivered)))
    assert bad == {"api": f"skipped {skipped} messages, somewhere up to {10 + delivered + skipped}"}
