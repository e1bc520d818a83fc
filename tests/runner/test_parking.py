"""The process behind the parking lot: nobody gets through before the release, and nobody is lost by it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from fabfile.runner import parking, parking_server, recovery
from fabfile.runner.parking import Lot
from fabfile.runner.parking_server import INITIAL_LIMIT, ParkingServer
from fabfile.runner.system.machine import POLL_SECONDS
from tests.runner.support.recorder import Recorder
from tests.runner.support.servers import page, serving

WAITERS = 40


class Runtime:
    """A server that answers every request with its own name, from its `start` on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.place: tuple[str, int] = self._socket.getsockname()

    def start(self) -> Runtime:
        self._socket.listen(128)
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            while b"\r\n\r\n" not in (asked := connection.recv(65536)):
                if not asked:
                    return
            body = self.name.encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            connection.recv(1)  # stays open until the other side ends it, as a websocket does


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[tuple[Lot, int, threading.Thread]]:
    """A lot with one port and its process, as a thread."""
    lot = Lot("islandflow-park-test", folder)
    lot.release({})
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(parking.BACKLOG)
    port = listening.getsockname()[1]
    acknowledgement = open(lot.acknowledgement, "wb", buffering=0)  # noqa: SIM115  the process's own
    server = threading.Thread(target=lambda: asyncio.run(ParkingServer(lot.state, [listening], acknowledgement).run()))
    server.start()
    try:
        yield lot, port, server
    finally:
        lot.state.unlink(missing_ok=True)
        server.join(timeout=60)
        acknowledgement.close()
        assert not server.is_alive(), "a closed lot without connections ends"


def ask(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().read().decode()


def all_wait(answers: list[Future[str]], seconds: float = 0.3) -> bool:
    time.sleep(seconds)
    return not any(answer.done() for answer in answers)


@pytest.fixture
def crowd() -> Iterator[Callable[[int], list[Future[str]]]]:
    """Many requests at once to a port of the lot."""
    with ThreadPoolExecutor(max_workers=WAITERS) as pool:
        yield lambda port: [pool.submit(ask, port) for _ in range(WAITERS)]


def test_requests_wait_until_the_release_and_all_are_answered(
    tmp_path: Path, crowd: Callable[[int], list[Future[str]]]
) -> None:
    native = Runtime("native").start()
    with opened(tmp_path) as (lot, port, _):
        answers = crowd(port)
        assert all_wait(answers)
        lot.release({port: native.place})
        assert {answer.result() for answer in answers} == {"native"}
        assert ask(port) == "native", "who comes later goes straight through"


def test_requests_held_again_wait_for_the_runtime_that_is_up_in_the_end(
    tmp_path: Path, crowd: Callable[[int], list[Future[str]]]
) -> None:
    native, docker = Runtime("native").start(), Runtime("docker").start()
    with opened(tmp_path) as (lot, port, _):
        lot.release({port: native.place})
        assert ask(port) == "native"
        lot.release({})
        time.sleep(2 * POLL_SECONDS)
        answers = crowd(port)
        assert all_wait(answers)
        lot.release({port: docker.place})
        assert {answer.result() for answer in answers} == {"docker"}


class Counter:
    """A server that holds every request until told otherwise, and knows in which order they came."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.let_go = threading.Semaphore(0)
        self.arrived = threading.Semaphore(0)

    def __call__(self, line: socket.socket) -> None:
        self.came.append(line.recv(4096).split()[1].decode())
        self.arrived.release()
        self.let_go.acquire(timeout=60)
        line.sendall(page(body=b"native"))

    def await_calls(self, count: int) -> None:
        """Wait for so many to come, and see that no more do."""
        for _ in range(count):
            assert self.arrived.acquire(timeout=30)
        assert not self.arrived.acquire(timeout=0.5), "more than there is room for"


def queued(port: int, number: int) -> socket.socket:
    """One who waits, and asks for a path of his own."""
    line = socket.create_connection(("127.0.0.1", port))
    line.settimeout(60)
    line.sendall(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
    return line


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody makes room by being slow."""
    monkeypatch.setattr(parking_server, "ANSWER_SECONDS", 600.0)
    monkeypatch.setattr(parking_server, "FIRST_ANSWER_SECONDS", 600.0)


def test_few_are_let_through_at_once_in_their_order_and_the_next_with_each_answer(
    tmp_path: Path, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking_server, "QUICK_FACTOR", 0.0)
    counter, first = Counter(), INITIAL_LIMIT
    with serving(counter) as place, opened(tmp_path) as (lot, port, _):
        lines = [queued(port, number) for number in range(2 * first)]
        lot.release({port: ("127.0.0.1", place)})
        counter.await_calls(first)
        counter.let_go.release()
        counter.await_calls(1)
        counter.let_go.release(len(lines))
        assert all(line.recv(4096).endswith(b"native") for line in lines)
        for line in lines:
            line.close()
    assert set(counter.came[:first]) == {f"/{number}" for number in range(first)}
    assert counter.came[first] == f"/{first}"


def test_more_are_let_through_where_several_are_answered_as_quickly_as_one(
    tmp_path: Path, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking_server, "QUICK_FACTOR", 1e9)
    counter, first = Counter(), INITIAL_LIMIT
    with serving(counter) as place, opened(tmp_path) as (lot, port, _):
        lines = [queued(port, number) for number in range(3 * first)]
        lot.release({port: ("127.0.0.1", place)})
        counter.await_calls(first)
        counter.let_go.release(2)
        counter.await_calls(4)  # their places, and one more for each
        counter.let_go.release(len(lines))
        for line in lines:
            assert line.recv(4096).endswith(b"native")
            line.close()


def test_slow_requests_keep_the_others_waiting_only_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parking_server, "FIRST_ANSWER_SECONDS", 0.2)
    counter = Counter()
    with serving(counter) as place, opened(tmp_path) as (lot, port, _):
        lines = [queued(port, number) for number in range(2 * INITIAL_LIMIT)]
        lot.release({port: ("127.0.0.1", place)})
        counter.await_calls(len(lines))
        counter.let_go.release(len(lines))
        for line in lines:
            assert line.recv(4096).endswith(b"native")
            line.close()


def test_websockets_keep_no_place(tmp_path: Path, patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking_server, "QUICK_FACTOR", 0.0)
    over = threading.Event()

    def upgraded(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        over.wait(60)

    with serving(upgraded) as place, opened(tmp_path) as (lot, port, _):
        lot.release({port: ("127.0.0.1", place)})
        lines = [queued(port, number) for number in range(3 * INITIAL_LIMIT)]
        assert all(b"101" in line.recv(4096) for line in lines)
        over.set()
        for line in lines:
            line.close()


def test_requests_held_again_go_to_the_next_releases_destination(tmp_path: Path, patient: None) -> None:
    counter, docker = Counter(), Runtime("docker").start()
    with serving(counter) as place, opened(tmp_path) as (lot, port, _):
        lines = [queued(port, number) for number in range(3 * INITIAL_LIMIT)]
        lot.release({port: ("127.0.0.1", place)})
        counter.await_calls(INITIAL_LIMIT)
        turn = lot.release({})
        assert eventually(lambda: lot.has_acknowledged(turn))
        counter.let_go.release(len(lines))
        assert not counter.arrived.acquire(timeout=0.5), "an answer lets nobody through any more"
        lot.release({port: docker.place})
        answers = [line.recv(4096).rpartition(b"\r\n")[2] for line in lines]
        assert answers == [b"native"] * INITIAL_LIMIT + [b"docker"] * 2 * INITIAL_LIMIT
        for line in lines:
            line.close()


def test_a_request_whose_connection_is_refused_waits_for_the_next_release(tmp_path: Path) -> None:
    gone, docker = Runtime("gone"), Runtime("docker").start()
    with opened(tmp_path) as (lot, port, _), ThreadPoolExecutor() as pool:
        lot.release({port: gone.place})
        answer = pool.submit(ask, port)
        assert all_wait([answer])
        lot.release({})
        assert all_wait([answer])
        lot.release({port: docker.place})
        assert answer.result() == "docker"


def eventually(true: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def test_a_runtime_that_refuses_for_an_instant_loses_nobody(tmp_path: Path) -> None:
    late = Runtime("late")
    with opened(tmp_path) as (lot, port, _), ThreadPoolExecutor() as pool:
        lot.release({port: late.place})
        answer = pool.submit(ask, port)
        assert all_wait([answer])
        late.start()
        assert answer.result() == "late"


def test_a_closed_lot_answers_who_came_before_and_refuses_who_comes_after(tmp_path: Path) -> None:
    native = Runtime("native").start()
    with opened(tmp_path) as (lot, port, server):
        lot.release({port: native.place})
        standing = socket.create_connection(("127.0.0.1", port))
        standing.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert standing.recv(65536).endswith(b"native")
        lot.state.unlink()
        deadline = time.monotonic() + 10
        with pytest.raises(ConnectionRefusedError):
            while time.monotonic() < deadline:
                socket.create_connection(("127.0.0.1", port)).close()
                time.sleep(0.01)
        assert server.is_alive(), "a websocket goes on through it"
        standing.close()


def test_a_client_that_gives_up_while_it_waits_harms_nobody(tmp_path: Path) -> None:
    native = Runtime("native").start()
    with opened(tmp_path) as (lot, port, _), ThreadPoolExecutor() as pool:
        gone = socket.create_connection(("127.0.0.1", port))
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not a farewell
        gone.close()
        answer = pool.submit(ask, port)
        lot.release({port: native.place})
        assert answer.result() == "native"


def test_the_open_lot_is_the_last_one_begun_until_it_is_closed(tmp_path: Path) -> None:
    machine = Recorder(tmp_path)
    (tmp_path / recovery.LINK).touch()
    assert parking.current(tmp_path) is None
    parking.open_lot(machine, "islandflow-park-1", "172.18.0.1", (13000, 14000), tmp_path)
    parking.open_lot(machine, "islandflow-park-2", "172.18.0.1", (13000, 14000), tmp_path)
    assert parking.current(tmp_path) == Lot("islandflow-park-2", tmp_path)
    parking.close(machine, "islandflow-park-1", tmp_path)
    assert parking.current(tmp_path) == Lot("islandflow-park-2", tmp_path), "an old one's end is not its end"
    parking.close(machine, "islandflow-park-2", tmp_path)
    parking.close(machine, "islandflow-park-2", tmp_path)
    assert parking.current(tmp_path) is None
    assert not list(tmp_path.glob("*.json"))


def test_the_sockets_are_systemds_on_every_port_of_the_lot(tmp_path: Path) -> None:
    machine = Recorder(tmp_path)
    (tmp_path / recovery.LINK).touch()
    parking.open_lot(machine, "islandflow-park-1", "172.18.0.1", (13000, 14000), tmp_path)
    (call,) = machine.said("systemd-run")
    assert {"--socket-property=ListenStream=172.18.0.1:13000", "--socket-property=ListenStream=172.18.0.1:14000"} <= {
        *call
    }
    assert "--socket-property=FreeBind=yes" in call, "the bridge may come later than the lot"
    assert call[-2:] == ("park", str(tmp_path / "islandflow-park-1.json"))
