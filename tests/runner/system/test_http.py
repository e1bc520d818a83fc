"""The HTTP client against servers that are slow, endless, broken or talkative."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fabfile.runner.system import http
from tests.runner.support.servers import certificate, page, says, serving, trickle

SECONDS = 0.5  # until a server's answer must be complete
SOON = 20.0  # seconds; far more than that, and far less than the servers here would take

Talk = Callable[[socket.socket], None]


def drop_by_drop(before: bytes, drop: bytes) -> Talk:
    """Answers with `before`, and then with a little every now and then, for a minute."""

    def talk(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(before)
        for _ in range(1200):
            line.sendall(drop)
            time.sleep(0.05)

    return talk


@pytest.mark.parametrize(
    "talk",
    [
        lambda line: time.sleep(60),
        drop_by_drop(b"", b"H"),
        drop_by_drop(b"HTTP/1.1 200 OK\r\n", b"X"),
        drop_by_drop(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drop_by_drop(b"HTTP/1.1 200 OK\r\n\r\n", b"."),
        drop_by_drop(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"."),
        drop_by_drop(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n.\r\n"),
        drop_by_drop(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n", b"."),
    ],
    ids=["mute", "status", "header", "continue", "endless", "sized", "chunks", "chunk"],
)
@pytest.mark.parametrize("body", [http.Body.KEEP, http.Body.DRAIN])
def test_the_deadline_is_of_the_whole_answer(talk: Talk, body: http.Body) -> None:
    with serving(talk) as port:
        began = time.monotonic()
        with pytest.raises(socket.timeout):
            http.request("127.0.0.1", port, "/", seconds=SECONDS, body=body)
        assert SECONDS <= time.monotonic() - began < SOON


def test_a_server_that_only_accepts_is_left_in_time_with_tls_too(tmp_path: Path) -> None:
    with serving(drop_by_drop(b"", b"\x16")) as port, pytest.raises(OSError):
        http.request("127.0.0.1", port, "/", seconds=SECONDS, tls=http.unverified())
    with serving(lambda line: time.sleep(60)) as port:
        began = time.monotonic()
        with pytest.raises(socket.timeout):
            http.request("127.0.0.1", port, "/", seconds=SECONDS, tls=http.unverified())
        assert time.monotonic() - began < SOON


def test_a_body_over_the_limit_is_refused_in_words_where_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY_BYTES", 1 << 20)
    with serving(says(page(body=b"x" * (1 << 20)))) as port:
        assert len(http.request("127.0.0.1", port, "/", seconds=SOON).body) == 1 << 20
    with serving(says(page(body=b"x" * ((1 << 20) + 1)))) as port:
        with pytest.raises(http.BadAnswer, match="more than 1 MiB, which is the limit"):
            http.request("127.0.0.1", port, "/", seconds=SOON)
        assert http.request("127.0.0.1", port, "/", seconds=SOON, body=http.Body.DRAIN).body == b""


def test_a_body_that_is_skipped_is_not_waited_for() -> None:
    with serving(trickle) as port:
        answer = http.request("127.0.0.1", port, "/", seconds=SOON, body=http.Body.SKIP)
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("talk", "kind"),
    [
        (says(b"nonsense\r\n\r\n"), "BadStatusLine"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"), "IncompleteRead"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhi"), "IncompleteRead"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n"), "IncompleteRead"),
        (says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"), "HTTPException"),
        (says(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"), "LineTooLong"),
    ],
)
def test_what_is_no_http_is_a_bad_answer(talk: Talk, kind: str) -> None:
    with serving(talk) as port, pytest.raises(http.BadAnswer) as caught:
        http.request("127.0.0.1", port, "/", seconds=SOON)
    assert caught.value.kind == kind and str(caught.value).startswith(kind)


def test_a_request_that_cannot_be_sent_is_refused_before_anybody_is_connected() -> None:
    unused = 1  # nobody listens there: a connection would be refused
    for path, headers in [("/a b", {}), ("/ä", {}), ("/", {"X": "€"}), ("/", {"X": "a\r\nY: b"})]:
        with pytest.raises(http.BadAnswer):
            http.request("127.0.0.1", unused, path, seconds=SOON, headers=headers)
    with pytest.raises(http.BadAnswer):
        http.request("a b", unused, "/", seconds=SOON)
    with pytest.raises(ConnectionRefusedError):
        http.request("127.0.0.1", unused, "/", seconds=SOON)


def heard(words: bytes, into: list[bytes]) -> Talk:
    """Answers with `words`, and keeps the request."""

    def talk(line: socket.socket) -> None:
        whole = line.recv(4096)
        head, _, body = whole.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        while length and len(body) < int(length[1]):  # the client sends head and body one after the other
            body += line.recv(4096)
        into.append(head + b"\r\n\r\n" + body)
        line.sendall(words)

    return talk


def test_the_request_names_its_host_and_what_it_was_given() -> None:
    requests: list[bytes] = []
    with serving(heard(page(headers={"X-Mixed": "Yes"}), requests)) as port:
        answer = http.request("127.0.0.1", port, "/a", seconds=SOON, headers={"X": "1"})
        http.request("127.0.0.1", port, "/b", seconds=SOON, method="PUT", host="a.test", payload=b"{}")
        line = socket.create_connection(("127.0.0.1", port))
        http.request_over(line, "/c", seconds=SOON, host="b.test")
    assert answer.headers["x-mixed"] == "Yes"
    first, second, third = (request.decode().split("\r\n") for request in requests)
    assert first[0] == "GET /a HTTP/1.1" and {f"Host: 127.0.0.1:{port}", "X: 1", "Connection: close"} <= set(first)
    assert second[0] == "PUT /b HTTP/1.1" and "Host: a.test" in second and second[-1] == "{}"
    assert third[0] == "GET /c HTTP/1.1" and "Host: b.test" in third
    assert line.fileno() == -1, "it is closed"


def test_a_certificate_is_verified_unless_the_context_says_otherwise(tmp_path: Path) -> None:
    with serving(says(page()), context=certificate(tmp_path, "a.test")) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            http.request("127.0.0.1", port, "/", seconds=SOON, host="a.test", tls=ssl.create_default_context())
        answer = http.request("127.0.0.1", port, "/", seconds=SOON, host="a.test", tls=http.unverified())
    assert answer.body == b"fine"


def test_a_name_leads_to_whichever_of_its_addresses_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    known = socket.getaddrinfo

    def two(host: str, port: int, **more: int) -> object:
        return [*known("127.0.0.2", port, **more), *known("127.0.0.1", port, **more)]

    with serving(says(page())) as port:
        monkeypatch.setattr(socket, "getaddrinfo", two)
        assert http.request("two.test", port, "/", seconds=SOON).status == 200


def test_no_connection_stays_open() -> None:
    ended = threading.Event()

    def talk(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(page())
        if line.recv(1) == b"":
            ended.set()

    with serving(talk) as port:
        http.request("127.0.0.1", port, "/", seconds=SOON)
        assert ended.wait(SOON)
