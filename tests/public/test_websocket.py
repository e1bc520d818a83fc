"""The websocket: it upgrades, it delivers, and if it does not, in which way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fabfile.inventory import Site
from tests.public.outside import SOCKET, asked, bad, site_of
from tests.support.https_server import Answer, Authority, Behaviour
from tests.support.inventories import REMOVED


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(200), "answers 200 with application/json"),
        (Answer(200, "text/html"), "answers 200 with HTML: the edge sent it to the web app"),
        (Answer(426), "answers 426 with application/json"),
        (Answer(308, "text/plain", location="/ws/live/"), "answers 308 with text/plain"),
        (Answer(502, "text/html"), "answers 502: nothing behind the edge answers"),
    ],
)
def test_a_websocket_that_does_not_upgrade_fails_the_check(
    site: Site, behaviour: Behaviour, answer: Answer, text: str
) -> None:
    behaviour.paths["/ws/live"] = answer
    assert bad(asked(site)) == {SOCKET: f"does not upgrade: {text}"}


def quick(tmp_path: Path, authority: Authority, port: int, **table: Any) -> Site:
    """A site where an event is awaited for no more than 0.3 s."""
    return site_of(tmp_path, port, **{"ca": str(authority.file), "event_within": 0.3, **table})


def test_a_websocket_without_an_event_fails_the_check(
    tmp_path: Path, authority: Authority, behaviour: Behaviour, port: int
) -> None:
    behaviour.paths["/ws/live"] = Answer(upgrade=True, messages=())
    told = bad(asked(quick(tmp_path, authority, port)))
    assert told == {SOCKET: "upgrades, but delivers no event within 0.3 s"}


def test_silence_is_good_where_no_event_is_awaited(
    tmp_path: Path, authority: Authority, behaviour: Behaviour, port: int
) -> None:
    behaviour.paths["/ws/live"] = Answer(upgrade=True, messages=())
    outcome = asked(quick(tmp_path, authority, port, event_within=REMOVED))
    assert outcome[SOCKET] == (True, "upgrades, served by native")


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        (('{"op":"ready"}', '{"op":"event"}'), None),
        (
            ('{"op":"ready"}', '{"op":"heartbeat"}'),
            "upgrades, but delivers no event within 0.3 s, only 2 other messages",
        ),
    ],
)
def test_what_is_no_event_is_passed_over(
    tmp_path: Path, authority: Authority, behaviour: Behaviour, port: int, messages: tuple[str, ...], text: str | None
) -> None:
    behaviour.paths["/ws/live"] = Answer(upgrade=True, messages=messages)
    outcome = asked(quick(tmp_path, authority, port, websocket_event='"op":"event"'))
    assert bad(outcome) == ({SOCKET: text} if text else {})


def test_the_app_is_greeted_first_where_it_wants_it(
    tmp_path: Path, authority: Authority, behaviour: Behaviour, port: int
) -> None:
    hello = '{"op":"subscribe"}'
    assert bad(asked(quick(tmp_path, authority, port, websocket_hello=hello))) == {}
    assert hello in behaviour.heard


def test_a_websocket_that_closes_at_once_fails_the_check(site: Site, behaviour: Behaviour) -> None:
    behaviour.paths["/ws/live"] = Answer(upgrade=True, messages=(), leaves=True)
    text = bad(asked(site))[SOCKET]
    assert text.startswith("upgrades, but closes before it delivers an event: ") and "1000" in text
