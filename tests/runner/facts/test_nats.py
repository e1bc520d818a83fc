"""The client of NATS: what the server says is read or refused in words, in time, whatever it is."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.facts.nats.client import (
    MAX_LINE,
    Client,
    Denied,
    Login,
    LoginRequired,
    TimedOut,
    Unanswered,
)
from fabfile.runner.facts.nats.lines import Line, parse_line
from tests.runner.support.nats_server import Nats
from tests.runner.support.servers import Talk, says, serving

WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
SIZE = st.integers(0, 10**10)
INFO = b'INFO {"server_id":"N1"}\r\n'


def client(port: int, login: Login | None = None, seconds: float = 60.0) -> Client:
    login = login or Login(origin="no file")
    return Client("docker's NATS", "127.0.0.1", port, "infra.nats.image_port", seconds, login)


def asked(talk: Talk, login: Login | None = None, seconds: float = 60.0) -> list[bytes]:
    """The payloads of an answer to two questions."""
    with serving(talk) as port, client(port, login, seconds) as line:
        return [m.payload for m in line.request([("$JS.API.STREAM.LIST", b"{}"), ("$JS.API.CONSUMER.LIST.S", b"{}")])]


def refusal(talk: Talk, login: Login | None = None, seconds: float = 60.0) -> Unanswered:
    with pytest.raises(Unanswered) as caught:
        asked(talk, login, seconds)
    text = str(caught.value)
    assert "127.0.0.1:" in text and "Errno" not in text, "it names the server, and no number of the system's"
    return caught.value


# ── Lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(WORD, WORD, st.none() | WORD, SIZE, SIZE, st.sampled_from([" ", "  ", "\t "]))
def test_a_message_s_line_says_where_it_goes_and_how_long_it_is(
    subject: str, sid: str, reply: str | None, size: int, headers: int, space: str
) -> None:
    words = [subject, sid, *([reply] if reply else [])]
    line = parse_line(space.join(["MSG", *words, str(size)]).encode() + b"\r\n")
    assert (line.verb, line.subject, line.size, line.headers) == ("MSG", subject, size, 0)
    with_headers = space.join(["hmsg", *words, str(headers), str(size)]).encode()
    if headers <= size:
        assert parse_line(with_headers)[2:] == (subject, headers, size)
    else:
        with pytest.raises(ValueError, match="more headers"):
            parse_line(with_headers)


@given(st.tuples(st.sampled_from([b"", b"MSG ", b"HMSG ", b"-ERR ", b"INFO "]), st.binary(max_size=60)).map(b"".join))
def test_any_bytes_are_a_line_or_none(line: bytes) -> None:
    with contextlib.suppress(ValueError):
        found = parse_line(line)
        assert found.verb == found.verb.upper() and 0 <= found.headers <= found.size


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HTTP/1.1 400 Bad Request",
        b"SSH-2.0-x",
        b"MSG a 1",
        b"MSG a 1 -1",
        b"MSG a 1 1e3",
        b"MSG a 1 \xd9\xa1",
        b"MSG a 1 r 9 9",
        b"HMSG a 1 5",
        b"MSG a 1 999999999999",
    ],
)
def test_what_no_server_of_nats_sends_is_no_line(line: bytes) -> None:
    with pytest.raises(ValueError):
        parse_line(line)


def test_the_words_of_a_refusal_are_kept() -> None:
    assert parse_line(b"-ERR 'Authorization Violation'\r\n") == Line("-ERR", "'Authorization Violation'")


# ── Logging in ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("login", "wanted"),
    [
        (Login("ana", "p@ss w:rd"), {"user": "ana", "pass": "p@ss w:rd"}),
        (Login(token="t0ken"), {"auth_token": "t0ken"}),
        (Login(), {}),
    ],
)
def test_who_has_the_login_is_answered(login: Login, wanted: dict[str, str]) -> None:
    server = Nats({"S": []}, login=wanted)
    streams, consumers = asked(server.talk, login)
    assert json.loads(streams)["streams"][0]["config"]["name"] == "S" and json.loads(consumers)["consumers"] == []


@pytest.mark.parametrize("wanted", [{"user": "ana", "pass": "secret"}, {"auth_token": "secret"}])
def test_who_has_no_login_is_told_where_it_belongs(wanted: dict[str, str]) -> None:
    server = Nats(login=wanted)
    found = refusal(server.talk, Login(origin="NATS_URL is not set in /app/.env"))
    assert isinstance(found, Denied)
    assert "wants a login" in str(found) and "NATS_URL is not set in /app/.env" in str(found)
    found = refusal(server.talk, Login("ana", "wr0ng", origin="/app/.env"))
    assert isinstance(found, Denied) and "refuses the login" in str(found) and "/app/.env" in str(found)
    assert "wr0ng" not in str(found) and "wr0ng" not in repr(found) and "wr0ng" not in repr(Login("ana", "wr0ng"))


def test_who_was_not_given_a_login_is_told_that_one_is_wanted_before_any_is_shown() -> None:
    server = Nats(login={"auth_token": "t0ken"})
    with serving(server.talk) as port, pytest.raises(LoginRequired):
        Client("docker's NATS", "127.0.0.1", port, "infra.nats.image_port", 60)
    assert server.refused == 0
    with serving(Nats({"S": []}).talk) as port, Client("NATS", "127.0.0.1", port, "key", 60) as line:
        assert line.request([("$JS.API.STREAM.LIST", b"{}")])


def test_a_login_without_permission_gets_a_message_with_what_to_allow() -> None:
    for denied in ("$JS.API.", "_INBOX."):
        found = refusal(Nats(denied=(denied,)).talk)
        assert isinstance(found, Denied) and "publish $JS.API.>" in str(found) and denied in str(found)


def test_a_server_that_accepts_only_tls_says_so() -> None:
    found = refusal(Nats(info={"tls_required": True}).talk)
    assert isinstance(found, Denied) and "accepts only TLS" in str(found) and "infra.nats.monitor_port" in str(found)


# ── Whoever listens there ───────────────────────────────────────────────────────────────────────────────────────────


def after_login(then: bytes | Callable[[socket.socket], None]) -> Talk:
    """A server that lets anybody in, and then does this to the first question."""

    def talk(line: socket.socket) -> None:
        line.sendall(INFO)
        read(line, b"PING\r\n")
        line.sendall(b"PONG\r\n")
        read(line, b"PUB ")
        line.sendall(then) if isinstance(then, bytes) else then(line)

    return talk


def read(line: socket.socket, until: bytes) -> None:
    seen = b""
    while until not in seen:
        part = line.recv(4096)
        assert part
        seen += part


def flood(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            line.sendall(b"MSG elsewhere 1 65536\r\n" + b"x" * 65536 + b"\r\n")


def drip(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            line.sendall(b"PING\r\n")
            threading.Event().wait(0.02)


def test_a_port_without_nats_is_reported_with_its_inventory_key() -> None:
    with serving(says(b"")) as port:
        pass
    with pytest.raises(
        Unanswered, match=f"docker's NATS at 127.0.0.1:{port} can't be reached .connection refused.: .*port"
    ):
        client(port)


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (says(b"SSH-2.0-OpenSSH\r\n", ask=False), "is no NATS"),
        (says(b"HTTP/1.1 400 Bad Request\r\n\r\n", ask=False), "is no NATS"),
        (says(b"INFO {}\r\n", ask=False), "is no NATS"),
        (says(b"INFO [1]\r\n", ask=False), "is no NATS"),
        (says(b"INFO {\r\n", ask=False), "is no NATS"),
        (says(b"PING\r\n", ask=False), "is no NATS"),
        (says(b"x" * (MAX_LINE + 70_000), ask=False), "its line never ends"),
        (says(b"", ask=False), "closed the connection"),
        (says(b"-ERR 'maximum connections exceeded'\r\n", ask=False), "maximum connections exceeded"),
        (after_login(b"-ERR 'Slow Consumer'\r\n"), "Slow Consumer"),
        (after_login(b"-ERR 'Account Authentication Expired'\r\n"), "Authentication Expired"),
        (after_login(b"MSG _INBOX.x 1 12\r\nhalf"), "closed the connection"),
        (after_login(b"MSG _INBOX.x 1 99999999999\r\n"), "at once"),
        (after_login(b"MSG _INBOX.x 1\r\n"), "is no NATS"),
        (after_login(flood), "sends more than"),
    ],
)
def test_whatever_answers_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, talk: Talk, words: str) -> None:
    monkeypatch.setattr("fabfile.runner.facts.nats.client.MAX_TOTAL", 1 << 20)
    assert words in str(refusal(talk))


@pytest.mark.parametrize(
    "talk",
    [lambda line: time.sleep(60), after_login(lambda line: time.sleep(60)), after_login(drip)],
    ids=["says nothing", "does not answer", "says only what was not asked"],
)
def test_who_does_not_answer_is_left_at_the_deadline(talk: Talk) -> None:
    started = time.monotonic()
    found = refusal(talk, seconds=0.3)
    assert isinstance(found, TimedOut) and "within 0.3 s" in str(found)
    assert 0.3 <= time.monotonic() - started < 30, "else it is a minute, or without end"


def test_answers_come_in_any_order_and_other_messages_between() -> None:
    def talk(line: socket.socket) -> None:
        line.sendall(INFO)
        read(line, b"PING\r\n")
        line.sendall(b"+OK\r\nPONG\r\n")
        seen = b""
        while seen.count(b"PUB ") < 2 or not seen.endswith(b"\r\n"):
            seen += line.recv(4096)
        first, second = (words.split()[2] for words in seen.split(b"\r\n") if words.startswith(b"PUB "))
        line.sendall(b"MSG _INBOX.other 1 2\r\nno\r\nINFO {}\r\n")
        line.sendall(b"MSG %s 1 6\r\nsec\r\nd\r\nHMSG %s 1 12 17\r\nNATS/1.0\r\n\r\nfirst\r\n" % (second, first))

    assert asked(talk) == [b"first", b"sec\r\nd"]


def test_a_name_that_would_end_the_line_is_not_sent() -> None:
    server = Nats()
    with serving(server.talk) as port, client(port) as line:
        for name in ("A\r\nPUB x 0", "A B", "\xe9", "A\t"):
            with pytest.raises(Unanswered, match="no subject may hold"):
                line.request([(f"$JS.API.CONSUMER.LIST.{name}", b"{}")])
            with pytest.raises(Unanswered, match="no subject may hold"):
                line.subscribe([name])
    assert server.asked == []


# ── Listening ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_publishes_is_heard_and_who_does_not_is_waited_for_no_longer_than_said() -> None:
    server = Nats(fetched=("S.busy", "S.eager"))
    busy, eager, idle = (f"$JS.API.CONSUMER.MSG.NEXT.S.{name}" for name in ("busy", "eager", "idle"))
    with serving(server.talk) as port, client(port, seconds=60) as line:
        started = time.monotonic()
        line.subscribe([busy, eager, idle])
        assert line.published([busy, eager], 60) == {busy, eager}
        assert time.monotonic() - started < 30, "all were heard"
        assert line.published([busy, idle], 0.5) == {busy}
        assert line.request([("$JS.API.STREAM.LIST", b'{"offset": 0}')]), "the time for answers is not used up"


def test_what_is_published_between_two_looks_is_heard_and_what_is_denied_never_is() -> None:
    server = Nats(fetched=("S.busy", "S.other"), denied=("$JS.API.CONSUMER.MSG.NEXT.T.",))
    busy, other, *denied = (f"$JS.API.CONSUMER.MSG.NEXT.{name}" for name in ("S.busy", "S.other", "T.a", "T.b"))
    with serving(server.talk) as port, client(port, seconds=60) as line:
        line.subscribe([busy, *denied])
        assert line.published([other], 0.5) == set(), "nobody subscribed to it"
        assert line.request([("$JS.API.STREAM.LIST", b'{"offset": 0}')]), "no error is left over"
        assert line.published([busy, *denied], 0.0) == {busy}
