"""Waiting until a hand-over may be confirmed."""

from __future__ import annotations

import threading

import pytest

from fabfile import public
from fabfile.inventory import Site
from fabfile.public import endpoint, suite
from tests.public.outside import PRINTS
from tests.support.https_server import Answer, Behaviour

ROUTE = "/prints/options?limit=1"


def test_checks_are_repeated_until_all_pass(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths[ROUTE] = Answer(502)
    repair = threading.Timer(0.8, lambda: behaviour.paths.update({ROUTE: Answer()}))
    repair.start()
    assert all(check.ok for check in public.until_good(site, "native", 20))
    assert repair.finished.is_set()


def test_the_last_round_is_returned_when_time_is_up(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths[ROUTE] = Answer(502)
    found = public.until_good(site, "native", 0.7)
    assert [check.name for check in found if not check.ok] == [PRINTS]


def test_what_was_answered_well_is_not_asked_again(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths[ROUTE] = Answer(502)
    threading.Timer(1.5, lambda: behaviour.paths.update({ROUTE: Answer()})).start()
    assert all(check.ok for check in public.until_good(site, "native", 60))
    asked = [path for _, _, path in behaviour.asked]
    assert asked.count("/health") == 1 and asked.count(ROUTE) > 1


def test_a_late_answer_is_given_more_time(site: Site, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes later than the first tries wait for it."""
    monkeypatch.setattr(endpoint, "TIMEOUT_SECONDS", 0.3)
    behaviour.paths[ROUTE] = Answer(after=1.0)
    found = public.until_good(site, "native", 60)
    assert [check.name for check in found if not check.ok] == []


def test_what_is_excused_is_a_warning_and_nothing_waits_for_it(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths[ROUTE] = Answer(502)
    found = public.until_good(site, "native", 3600, excuse=lambda name: "it was no better" if name == PRINTS else "")
    [prints] = [check for check in found if check.warning]
    assert prints.name == PRINTS and "502" in prints.text and prints.text.endswith("; it was no better")
    assert all(check.ok for check in found)


def test_what_is_good_needs_no_excuse(site: Site) -> None:
    found = public.until_good(site, "native", 20, excuse=lambda name: "it was no better")
    assert not [check for check in found if check.warning or "no better" in check.text]


def test_what_is_not_good_before_a_plan_is_tried_again(
    site: Site, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "_BEFORE_SECONDS", 2.0)
    assert public.not_good(site) == []
    behaviour.paths.update({ROUTE: Answer(502), "/health": Answer(502)})
    repair = threading.Timer(0.4, lambda: behaviour.paths.update({"/health": Answer()}))
    repair.start()
    assert [check.name for check in public.not_good(site)] == [PRINTS]
    assert repair.finished.is_set()
