"""On a terminal cutover, rollback and deploy show what they will do and ask; anything but a yes begins nothing."""

from __future__ import annotations

from typing import Any

import pytest

from fabfile.commands.apply import Operation
from fabfile.errors import Interrupted
from fabfile.inventory import Site
from fabfile.plans.plan import Plan, Step, Undo
from fabfile.runner.actions.files import Files
from fabfile.runner.wire.facts import Facts
from tests.commands.test_session import DONE, FILE, build, unsure
from tests.support.fake_host import GOOD_HOST, FakeHost
from tests.support.terminal import typed


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost.shipping(DONE, monkeypatch)


@pytest.mark.parametrize("text", ["\n", "n\n", "no\n", "", "yep\n", "\x04"])
def test_anything_but_yes_begins_nothing(text: str, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(text, monkeypatch)
    with pytest.raises(Interrupted, match="it has not begun") as caught:
        Operation(object(), ask=True).apply(build)
    assert host.shipped == [] and caught.value.state == "Nothing was changed on the VPS."


@pytest.mark.parametrize("text", ["y\n", "Yes\n"])
def test_a_yes_begins_it_by_the_same_survey(text: str, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(text, monkeypatch)
    Operation(object(), ask=True).apply(build)
    assert len(host.shipped) == 1 and host.calls == [("survey",), ("ship",)]


def test_who_thinks_for_long_gets_a_new_survey_and_is_not_asked_again(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed("y\n", monkeypatch)
    monkeypatch.setattr("fabfile.commands.apply._FRESH_SECONDS", 0.0)
    Operation(object(), ask=True).apply(build)
    assert len(host.shipped) == 1 and host.calls == [("survey",), ("survey",), ("ship",)]


def test_the_question_says_what_will_happen(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def holding(site: Site, facts: Facts) -> Plan:
        steps = tuple(
            Step(name, Files((FILE,)), Undo(), hold=hold)
            for name, hold in (("park", "begins"), ("hand over", ""), ("release", "ends"))
        )
        return Plan("cutover", steps, confirm_within=120.0, hold_limit=45.0)

    monkeypatch.setenv("NO_COLOR", "1")
    shown = typed("n\n", monkeypatch)
    with pytest.raises(Interrupted):
        Operation(object(), ask=True).apply(holding)
    said = " ".join(shown.getvalue().split())
    assert "cutover on vps: 3 steps to do, 0 are in place already." in said
    assert "Requests wait from “park” to “release”, for at most 45 s." in said
    assert "the public checks run from here; unless they pass within 120 s, all is undone" in said and said.endswith(
        "Begin? [y/N]"
    )


def test_where_nothing_is_to_be_done_nobody_is_asked(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = typed("", monkeypatch)
    Operation(object(), ask=True).apply(lambda site, facts: Plan("cutover", ()))
    assert host.shipped == [] and "Begin?" not in shown.getvalue()


def test_a_dry_run_asks_nobody(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = typed("", monkeypatch)
    Operation(object(), dry=True, ask=True).apply(unsure)
    assert "Begin?" not in shown.getvalue() and host.shipped == []


def test_a_hosts_facts_are_read_before_the_question(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[Any] = []
    typed("y\n", monkeypatch)
    monkeypatch.setattr("fabfile.console.Console.confirms", lambda self, lines, question: order.append("asked") or True)
    host.facts = Facts(host=GOOD_HOST)
    Operation(object(), ask=True).apply(lambda site, facts: order.append(facts.host.name) or build(site, facts))
    assert order == ["vps", "asked"]
