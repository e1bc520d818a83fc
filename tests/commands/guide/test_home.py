"""What can be done next, as things are; and that what is chosen shows its plan before it asks."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import pytest

from fabfile.commands.guide import home
from fabfile.inventory import Site
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.release import GOOD
from fabfile.runner.wire.store import LockHolder, StoreState
from tests.support.entry_points import inv
from tests.support.events import PLAN, begun, event, finished
from tests.support.facts import released
from tests.support.fake_host import FakeHost
from tests.support.terminal import Terminal


def ways(site: Site, facts: Facts) -> list[str]:
    return [way for way, _ in home.possible(site, facts)]


def test_what_can_be_done_next_depends_on_who_owns(site: Site, docker_serves: Facts, native_serves: Facts) -> None:
    assert ways(site, docker_serves) == ["cutover", "deploy", "doctor", "history"]
    assert ways(site, native_serves) == ["deploy", "rollback", "doctor", "history"]
    with_releases = released(site, native_serves, dict.fromkeys(site.services, "b"), b=GOOD, a=GOOD)
    assert ways(site, with_releases) == ["deploy", "go back", "rollback", "doctor", "history"]
    assert ("go back", f"go back to the last good release, {'a' * 12}; inv rollback") in home.possible(
        site, with_releases
    )


@pytest.mark.parametrize(
    ("ops", "first"),
    [
        (StoreState(lock=LockHolder("ana", "cutover", "noon"), unfinished=("p1",)), "attach"),
        (StoreState(unfinished=("p1", "p2")), "revert"),
    ],
)
def test_a_plan_that_runs_or_is_unfinished_comes_before_all_else(
    ops: StoreState, first: str, site: Site, docker_serves: Facts
) -> None:
    assert ways(site, dataclasses.replace(docker_serves, ops=ops)) == [first, "doctor", "history"]


def test_every_way_is_one_that_the_task_knows(monkeypatch: pytest.MonkeyPatch, docker_serves: Facts) -> None:
    """Each gets as far as the VPS."""
    host = FakeHost(docker_serves)
    host.stand_in(monkeypatch)
    for way in home.ALL:
        monkeypatch.setattr(home, "ask", lambda session, way=way: way)
        host.calls.clear()
        typed(monkeypatch, "1\n1\n")
        run = guided()
        assert host.calls, way
        assert run.code in (0, 2, 3, 130), way


# ── The whole of it ─────────────────────────────────────────────────────────────────────────────────────────────────


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(text))
    monkeypatch.setattr("fabfile.commands.apply.has_terminal", lambda: True)
    monkeypatch.setattr("fabfile.output.has_terminal", lambda: True)
    monkeypatch.setattr("fabfile.commands.guide.home.has_terminal", lambda: True)


def guided() -> Any:
    return inv("guide")


def test_a_cutover_that_is_chosen_shows_its_plan_and_begins_after_a_yes(
    monkeypatch: pytest.MonkeyPatch, docker_serves: Facts
) -> None:
    host = FakeHost(docker_serves)
    host.events["ship"] = [begun(to="native"), finished("done")]
    host.stand_in(monkeypatch)
    for answers, code, shipped in (("9\nx\n1\nn\n", 130, 0), ("\n", 0, 0), ("", 0, 0), ("1\ny\n", 0, 1)):
        typed(monkeypatch, answers)
        run = guided()
        assert run.code == code and len(host.shipped) == shipped, run.said
        if answers.startswith("9"):
            assert "owner  docker" in run.out and "There is no 9 here" in run.err and "There is no x here" in run.err
        if "1" in answers:
            assert "edge: point to the parking lot:" in run.err and "no undo:" in run.err and "Begin? [y/N]" in run.err


def test_an_unfinished_plan_shows_what_is_undone_and_is_reverted_after_a_yes(
    monkeypatch: pytest.MonkeyPatch, docker_serves: Facts
) -> None:
    host = FakeHost(dataclasses.replace(docker_serves, ops=StoreState(unfinished=(PLAN,))))
    host.past = [begun(), event("start", "edge: switch", what="lead it", before={})]
    host.events["revert"] = [event("undone", "edge: switch"), finished("reverted", why="it was interrupted")]
    host.stand_in(monkeypatch)
    typed(monkeypatch, "1\n\n")
    run = guided()
    assert run.code == 130 and "1 steps would be undone" in run.out and "Revert it?" in run.err
    assert ("revert", PLAN) not in host.calls
    typed(monkeypatch, "1\ny\n")
    guided()
    assert ("revert", PLAN) in host.calls


def test_without_a_terminal_it_says_so_and_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost()
    host.stand_in(monkeypatch)
    run = guided()
    assert run.code == 2 and "no terminal to answer at" in run.err and host.calls == []
