"""Who listens, seen on real sockets of real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fabfile.runner.system.sockets import cgroup_of, listeners, listening_ports, reachable, received_bytes


@contextmanager
def listening(address: str = "127.0.0.1", family: int = socket.AF_INET) -> Iterator[int]:
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind((address, 0))
        server.listen()
        yield server.getsockname()[1]


def test_our_own_listener_with_process_and_control_group() -> None:
    with listening() as port:
        (found,) = listeners([port, 1])
        assert (found.port, found.address, found.pid) == (port, "127.0.0.1", os.getpid())
        assert found.command == Path("/proc/self/comm").read_text().strip()
        assert found.cgroup == cgroup_of(os.getpid())
    assert listeners([port]) == ()


@pytest.mark.parametrize(
    ("bound", "told"), [("0.0.0.0", "0.0.0.0"), ("::", "::"), ("::1", "::1"), ("::ffff:127.0.0.1", "127.0.0.1")]
)
def test_addresses_of_both_families(bound: str, told: str) -> None:
    with listening(bound, socket.AF_INET6 if ":" in bound else socket.AF_INET) as port:
        (found,) = listeners([port])
        assert found.address == told
        assert reachable(told) == {"::1": "::1"}.get(told, "127.0.0.1")


def test_another_processes_listener() -> None:
    script = "import socket,sys; s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1],flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        port = int(other.stdout.readline())
        assert [found.pid for found in listeners([port])] == [other.pid]
        assert port in listening_ports(other.pid)
        other.communicate("\n")
    assert listening_ports(other.pid) == []


def test_connections_are_no_listeners() -> None:
    with listening() as port, socket.create_connection(("127.0.0.1", port)) as connection:
        assert listeners([connection.getsockname()[1]]) == ()


def test_a_process_that_is_gone_has_no_control_group() -> None:
    assert cgroup_of(2**22 + 1) == ""


def test_a_listener_whose_process_opens_and_closes_files_all_the_while() -> None:
    """A database does so: a file that is closed while we look must not hide the socket beside it."""
    script = (
        "import os, socket, threading\n"
        "busy = lambda: [os.close(os.open('/dev/null', os.O_RDONLY)) for _ in iter(int, 1)]\n"
        "[threading.Thread(target=busy, daemon=True).start() for _ in range(4)]\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        port = int(other.stdout.readline())
        assert {found.pid for _ in range(60) for found in listeners([port])} == {other.pid}
        other.communicate("\n")


def test_a_connection_that_was_answered_differs_from_one_that_was_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with closing(socket.create_connection(("127.0.0.1", port))) as one, server.accept()[0] as other:
            ends = ("127.0.0.1", port, one.getsockname()[1])
            one.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert received_bytes()[ends] == 0, "what it has sent does not count"
            assert other.recv(100)
            other.sendall(b"x" * 100)
            assert len(one.recv(100, socket.MSG_WAITALL)) == 100
            assert received_bytes()[ends] == 100
        assert ends not in received_bytes()
