"""Asking an upstream as the edge would, against real sockets on the loopback."""

from __future__ import annotations

import http.server
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fabfile.runner.edge import probe, server


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("X-Islandflow-Runtime", "native")
        self.send_header("X-Asked-For", self.headers["Host"])
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def dns_server(*addresses: str) -> Iterator[int]:
    """A name server that knows every name under these addresses; yields its port."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            asked, client = server.recvfrom(512)
            stray = b"\0\0" + asked[2:]
            alias = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, 2) + b"\xc0\x0c"
            records = [
                b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(address) for address in addresses
            ]
            head = asked[:2] + struct.pack(">5H", 0x8180, 1, len(records) + 1, 0, 0)
            server.sendto(stray, client)
            server.sendto(head + asked[12:] + alias + b"".join(records), client)

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]


def test_an_upstream_that_answers_tells_its_status_and_headers(port: int) -> None:
    [answer] = probe.probe_upstream("127.0.0.1", port, "/health", "flow.example.test", "127.0.0.1")
    assert (answer["kind"], answer["status"], answer["address"]) == ("answer", 200, "127.0.0.1")
    assert answer["headers"]["x-islandflow-runtime"] == "native"
    assert answer["headers"]["x-asked-for"] == "flow.example.test", "the edge passes its own hostname on"


def test_without_a_path_a_connection_suffices(port: int) -> None:
    [answer] = probe.probe_upstream("127.0.0.1", port, "", "flow.example.test", "127.0.0.1")
    assert answer["kind"] == "open"


def test_a_port_where_nobody_listens_is_refused_at_once() -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        [answer] = probe.probe_upstream("127.0.0.1", unused.getsockname()[1], "/", "x", "127.0.0.1")
    assert answer["kind"] == "refused"


def test_a_dropped_packet_is_reported_as_silence_in_time() -> None:
    # A full queue of connections drops what a firewall would drop: the first packet of a connection.
    with closing(socket.socket()) as full, closing(socket.socket()) as one, closing(socket.socket()) as two:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (one, two):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        [answer] = probe.probe_upstream("127.0.0.1", full.getsockname()[1], "/", "x", "127.0.0.1", timeout=0.3)
    assert (answer["kind"], answer["text"]) == ("silent", "no answer within 0.3 s")


def test_a_server_that_accepts_and_says_nothing_is_slow_and_not_silent() -> None:
    with closing(socket.socket()) as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(5)
        [answer] = probe.probe_upstream("127.0.0.1", mute.getsockname()[1], "/", "x", "127.0.0.1", timeout=0.3)
    assert (answer["kind"], answer["text"]) == ("slow", "accepts connections, but no answer within 0.3 s")


def test_a_name_is_resolved_by_the_edges_own_name_server() -> None:
    with dns_server("172.18.0.5", "172.18.0.6") as asked:
        assert probe.resolve("web", "127.0.0.1", port=asked) == ["172.18.0.5", "172.18.0.6"]


def test_a_name_without_an_address_is_an_error() -> None:
    with dns_server() as asked, pytest.raises(OSError, match="has no address for web"):
        probe.resolve("web", "127.0.0.1", port=asked)


def test_a_name_server_that_is_silent_makes_the_upstream_unknown() -> None:
    [answer] = probe.probe_upstream("web", 3000, "/", "x", "127.0.0.1", timeout=0.2)
    assert answer["kind"] == "unknown"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("nameserver 127.0.0.11\noptions ndots:0\n", "127.0.0.11"),
        ("# nameserver 1.1.1.1\nsearch x\nnameserver fd00::1\n nameserver 10.0.0.2 \n", "10.0.0.2"),
        ("", "127.0.0.11"),
    ],
)
def test_the_name_server_is_the_containers_first(tmp_path: Path, text: str, first: str) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    assert server.nameserver(path) == first


@pytest.mark.parametrize(
    ("headers", "expected", "problem"),
    [
        ({}, "", ""),
        ({"x-runtime": "native"}, "X-Runtime: native", ""),
        ({"x-runtime": "docker"}, "x-runtime: native", "x-runtime is 'docker' instead of 'native'"),
        ({}, "x-runtime: native", "x-runtime is None instead of 'native'"),
    ],
)
def test_a_header_is_compared_by_name_and_whole_value(headers: dict[str, str], expected: str, problem: str) -> None:
    assert server.header_problem(headers, expected) == problem
