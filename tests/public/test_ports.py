"""Ports that nobody outside may reach."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabfile import public
from fabfile.inventory import Site, load
from fabfile.public import ports
from tests.public.outside import asked, bad, site_of
from tests.support.https_server import Authority
from tests.support.inventories import INVENTORY

OPEN = "open to the world, past the edge: "


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "TIMEOUT_SECONDS", 0.3)


@contextlib.contextmanager
def listening(first: bytes | None) -> Iterator[int]:
    """A port that accepts one connection, says `first` or, given None, hangs up at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                if first is None:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                connection.sendall(first)
                with contextlib.suppress(ConnectionError):  # a client that has not read it all resets
                    connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("first", [b"INFO {}\r\n", b""], ids=["speaks first", "waits"])
def test_a_port_that_accepts_is_open_to_the_world(site: Site, tmp_path: Path, first: bytes) -> None:
    with listening(first) as port:
        check = ports.closed("127.0.0.1", "nats", port)
    assert (check.name, check.ok) == (f"port {port} (nats) is closed", False)
    assert check.text.startswith(OPEN)


def test_a_port_without_listener_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert (ports.closed("127.0.0.1", "api", port).ok, ports.closed("127.0.0.1", "api", port).text) == (True, "refused")


def test_something_with_nothing_behind_it_is_closed() -> None:
    with listening(None) as port:
        check = ports.closed("127.0.0.1", "api", port)
    assert (check.ok, check.text) == (True, "hangs up: nothing behind it")


def test_dropped_packets_are_waited_for_a_short_while() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as queue:
        address = full.getsockname()
        for _ in range(4):  # beyond the backlog the kernel answers nothing, as a firewall that drops
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        check = ports.closed("127.0.0.1", "api", address[1])
    assert (check.ok, check.text) == (True, "no answer within 0.3 s")


def test_an_open_port_fails_the_check_and_only_warns_before_a_hand_over(
    tmp_path: Path, authority: Authority, port: int
) -> None:
    with listening(b"") as direct:
        site = site_of(tmp_path, port, ca=str(authority.file), closed_ports={"api": direct})
        assert list(bad(asked(site))) == [f"port {direct} (api) is closed"]
    with listening(b"") as direct:
        site = site_of(tmp_path, port, ca=str(authority.file), closed_ports={"api": direct})
        *rest, last = public.until_good(site, "native", 5)
    assert all(check.ok and not check.warning for check in rest)
    assert (last.ok, last.warning) == (True, True) and last.text.startswith(OPEN)


def test_what_the_inventory_knows_is_closed_unless_it_says_otherwise() -> None:
    assert load(INVENTORY, {}).closed_ports == {
        **{"web": 3000, "api": 4000, "NPM's admin page": 81},
        **{"nats": 4222, "redis": 6379, "clickhouse": 8123, "nats monitor": 8222},
    }
