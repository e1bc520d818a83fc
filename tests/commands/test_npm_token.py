"""The operator's words for NPM's API: from the environment, else asked for; what comes of them is a token."""

from __future__ import annotations

import getpass
import io
import sys
from collections.abc import Callable

import pytest

from fabfile.commands import npm_token
from fabfile.errors import PreflightRefused, UsageError
from fabfile.runner.wire.edge import EdgeLogin, EdgeRef
from tests.support.fake_host import FakeHost

EDGE = EdgeRef("/npm", "/npm/db", "npm", "npm-shared", ("a.example",))
ENVIRON = {"NPM_IDENTITY": "me@example.test", "NPM_SECRET": "open sesame"}


class Terminal(io.StringIO):
    """A standard input with somebody in front of it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, hidden: str = "") -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", lambda question: hidden)


def answering(*answers: str) -> Callable[[str], str]:
    left = list(answers)
    return lambda question: left.pop(0)


def logins(host: FakeHost) -> list[EdgeLogin]:
    return [call[1] for call in host.calls]


@pytest.mark.parametrize(
    ("chosen", "environ", "expected"),
    [
        ("auto", ENVIRON, "api"),
        ("auto", {"NPM_IDENTITY": "me@example.test", "NPM_SECRET": ""}, "files"),
        ("auto", {}, "files"),
        ("files", ENVIRON, "files"),
        ("api", {}, "api"),
    ],
)
def test_auto_is_the_api_where_both_words_are_there(chosen: str, environ: dict[str, str], expected: str) -> None:
    assert npm_token.resolve_way(chosen, environ) == expected


def test_the_environments_words_become_a_token(host: FakeHost) -> None:
    host.logins = [{"token": "t"}]
    assert npm_token.npm_token(host, EDGE, ENVIRON) == {"npm": "t"}
    assert logins(host) == [EdgeLogin(EDGE, "me@example.test", "open sesame")]


def test_what_the_environment_lacks_is_asked_for(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch, hidden="typed")
    host.logins = [{"token": "t"}]
    npm_token.npm_token(host, EDGE, {}, prompt=answering("me@example.test"))
    assert logins(host) == [EdgeLogin(EDGE, "me@example.test", "typed")]


def test_a_two_factor_code_is_asked_for_and_sent_without_the_secret(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_a_terminal(monkeypatch)
    host.logins = [{"challenge": "c"}, {"token": "t"}]
    assert npm_token.npm_token(host, EDGE, ENVIRON, prompt=answering(" 123456 ")) == {"npm": "t"}
    assert logins(host)[1] == EdgeLogin(EDGE, "me@example.test", challenge="c", code="123456")


def test_a_refusal_of_npms_is_a_refusal_before_anything_is_touched(host: FakeHost) -> None:
    host.logins = [{"refused": "status 400: Invalid email or password"}]
    with pytest.raises(PreflightRefused, match="Invalid email or password"):
        npm_token.npm_token(host, EDGE, ENVIRON)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"NPM_IDENTITY": "me@example.test"}, "NPM_SECRET is not set"),
        ({}, "NPM_IDENTITY is not set"),
        (ENVIRON, "wants a two-factor code"),
    ],
)
def test_where_nobody_can_be_asked_it_says_what_is_missing(
    host: FakeHost, environ: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    host.logins = [{"challenge": "c"}]
    with pytest.raises(UsageError, match=words):
        npm_token.npm_token(host, EDGE, environ)


def test_an_input_that_ends_is_no_answer(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(question: str) -> str:
        raise EOFError

    at_a_terminal(monkeypatch)
    with pytest.raises(UsageError, match="no answer was given"):
        npm_token.npm_token(host, EDGE, {}, prompt=ends)


def test_a_secret_never_shows_in_a_traceback_or_a_log() -> None:
    assert "sesame" not in repr(EdgeLogin(EDGE, "me", "open sesame", "challenge", "123456"))
