"""Maintenance as an operator sees it: since when, until when, and where NPM has ended it."""

from __future__ import annotations

import pytest

from fabfile.checks.maintenance import state
from fabfile.runner.edge.maintenance import region
from fabfile.runner.wire.edge import EdgeFacts, HostFact, Maintenance
from fabfile.runner.wire.facts import Facts, HostInfo

NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC
HOST = HostInfo("vps", time=NOON, utc_offset=3600)


def facts(on: Maintenance | None, **serving: bool) -> Facts:
    """Facts of these hosts, each with maintenance in its file or without."""
    words = region.written(on or Maintenance(1.0), (), False)
    hosts = {name: HostFact(name, text="server", maintenance=words if is_on else "") for name, is_on in serving.items()}
    return Facts(host=HOST, edge=EdgeFacts(hosts=hosts, maintenance=on))


@pytest.mark.parametrize(
    ("text", "hours"), [("13:01", 1 / 60), ("14:00", 1), ("13:00", 24), ("4:00", 15), ("04:00", 15), ("00:00", 11)]
)
def test_until_is_the_next_such_moment_by_the_vps_clock(text: str, hours: float) -> None:
    assert state.is_time(text)
    assert state.until(text, HOST) == pytest.approx(NOON + hours * 3600)


@pytest.mark.parametrize("text", ["", "4", "24:00", "12:60", "noon", "-1:00", "04:00:00", "٠٤:٠٠"])
def test_what_is_no_time_of_day(text: str) -> None:
    assert not state.is_time(text)


def test_off_says_nothing() -> None:
    off = facts(None, app=False)
    assert (state.words(off), state.warnings(off), list(state.maintained(off))) == ("", [], [])


def test_since_and_until_are_by_the_vps_clock() -> None:
    on = facts(Maintenance(NOON - 7200, NOON + 3600, "moving"), app=True)
    assert state.words(on) == "on since 2023-11-15 11:00 +0100 until 2023-11-15 14:00 +0100: moving"
    assert state.warnings(on) == []
    assert list(state.maintained(on)) == [("app: maintenance", True, state.words(on))]


def test_a_host_that_npm_wrote_anew_is_named_with_both_ways_out() -> None:
    on = facts(Maintenance(NOON), app=False, api=True)
    [warning] = state.warnings(on)
    assert "app serves: a save in Nginx Proxy Manager" in warning and "--on" in warning and "--off" in warning
    assert [good for _, good, _ in state.maintained(on)] == [False, True]


def test_an_end_that_has_passed_is_said() -> None:
    [warning] = state.warnings(facts(Maintenance(NOON - 7200, NOON - 60), app=True))
    assert warning == "edge: maintenance was to end at 2023-11-15 12:59 +0100, and is on: inv edge.maintenance --off"


def test_where_the_note_is_lost_it_is_on_all_the_same() -> None:
    assert "not noted" in state.words(facts(None, app=True))


def test_a_message_that_nginx_can_not_read_is_refused() -> None:
    assert state.refusals("soon back") == []
    [finding] = state.refusals("x" * 201)
    assert "201 characters" in str(finding) and not finding.warning
