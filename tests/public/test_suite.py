"""Waiting until a hand-over may be confirmed."""

from __future__ import annotations

import threading

import pytest

from fabfile import public
from fabfile.inventory import Site
from fabfile.public import endpoint
from tests.public.outside import PRINTS
from tests.support.https_server import Answer, Behaviour

ROUTE = "/prints/options?limit=1"


def test_checks_are_repeated_until_all_pass(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths[ROUTE] = Answer(502)
    mend = threading.Timer(0.8, lambda: behaviour.paths.update({ROUTE: Answer()}))
    mend.start()
    assert all(check.ok for check in public.until_good(site, "native", 20))
    assert mend.finished.is_set()


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
