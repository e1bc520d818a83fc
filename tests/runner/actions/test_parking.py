"""The undo of the parking lot's actions: whatever the plan had opened is closed in the end."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from fabfile.runner import parking, recovery
from fabfile.runner.actions.parking import CloseLot, Exit, OpenLot, ReleaseLot
from fabfile.runner.edge.connections import Upstreams
from fabfile.runner.system import sockets
from tests.runner.support.recorder import Recorder
from tests.runner.support.servers import page, serving
from tests.runner.test_parking import eventually, opened

LOT = ("edge", Upstreams((13000,), ("172.18.0.1",)), 0.1)
OPEN, LEAVING = "islandflow-park-1", Upstreams((3000,), ("172.18.0.1",))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the lots' states are kept, instead of /run."""
    for function in (parking.current, parking.open_lot, parking.close):
        monkeypatch.setattr(function, "__defaults__", (tmp_path / "lots",))
    return tmp_path / "lots"


@pytest.fixture
def machine(tmp_path: Path, folder: Path) -> Recorder:
    """A VPS whose edge does not run, so that nobody is under way; a lot is open."""
    machine = Recorder(tmp_path, {"docker inspect": (1, "", "No such container"), "systemctl is-active": (3, "", "")})
    (tmp_path / recovery.LINK).touch()
    parking.open_lot(machine, OPEN, "172.18.0.1", (13000,))
    return machine


def test_a_lot_that_was_opened_again_on_the_way_back_is_closed_as_well(folder: Path, machine: Recorder) -> None:
    close = CloseLot(*LOT)
    before = close.inspect(machine).before
    close.apply(machine, before)
    close.undo(machine, before)
    again = parking.current()
    assert again and again.unit == before["again"]

    OpenLot(*LOT, LEAVING).undo(machine, {"unit": OPEN})

    assert parking.current() is None and list(folder.iterdir()) == []
    assert machine.calls[-1] == ("systemctl", "stop", f"{again.unit}.socket")


def test_a_closed_lot_is_opened_again_once_however_often_its_close_is_undone(machine: Recorder) -> None:
    close = CloseLot(*LOT)
    before = close.inspect(machine).before
    close.apply(machine, before)
    close.undo(machine, before)
    machine.answers["systemctl is-active"] = ""
    close.undo(machine, before)
    assert [call[3] for call in machine.said("systemd-run")] == [f"--unit={OPEN}", f"--unit={before['again']}"]


def test_a_lot_that_was_opened_again_only_half_gives_way_to_a_whole_one(machine: Recorder) -> None:
    close = CloseLot(*LOT)
    before = close.inspect(machine).before
    parking.open_lot(machine, str(before["again"]), "172.18.0.1", (13000,))
    machine.calls.clear()
    close.undo(machine, before)
    verbs = [call[:3] if call[0] == "systemctl" else call[3:4] for call in machine.calls]
    stopped = ("systemctl", "stop", f"{before['again']}.socket")
    assert verbs.index(stopped) < verbs.index((f"--unit={before['again']}",))


def test_letting_through_is_undone_once_those_who_were_are_answered(folder: Path, machine: Recorder) -> None:
    """They come from the lot, not from the edge; the runtime is stopped right afterwards."""
    answered: list[float] = []
    ready = threading.Event()

    def late(line: socket.socket) -> None:
        line.recv(4096)
        ready.wait(60)
        answered.append(time.monotonic())
        line.sendall(page())

    with serving(late) as place, opened(folder) as (lot, port, _):
        (folder / "parking").unlink()
        (folder / "parking").symlink_to(lot.state.name)
        free = ReleaseLot("edge", Upstreams((port,), ("127.0.0.1",)), 0.3, (Exit(port, "127.0.0.1", place),), LEAVING)
        free.apply(machine, {})
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.settimeout(60)
            line.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert eventually(lambda: bool(sockets.connections(os.getpid()) and _under_way(place)))
            threading.Timer(1.2, ready.set).start()  # longer than a request may take that was answered in part
            free.undo(machine, {})
            assert answered
            assert line.recv(4096).endswith(b"fine")
        with socket.create_connection(("127.0.0.1", port)) as line, pytest.raises(TimeoutError):
            line.settimeout(0.5)
            line.sendall(b"GET / HTTP/1.1\r\n\r\n")
            line.recv(1)


def test_a_websocket_is_not_waited_for_when_letting_through_is_undone(folder: Path, machine: Recorder) -> None:
    over = threading.Event()

    def upgraded(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        over.wait(60)

    with serving(upgraded) as place, opened(folder) as (lot, port, _):
        (folder / "parking").unlink()
        (folder / "parking").symlink_to(lot.state.name)
        free = ReleaseLot("edge", Upstreams((port,), ("127.0.0.1",)), 0.1, (Exit(port, "127.0.0.1", place),), LEAVING)
        free.apply(machine, {})
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.settimeout(60)
            line.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert b"101" in line.recv(4096)
            free.undo(machine, {})
            assert not over.is_set()
            over.set()


def _under_way(port: int) -> bool:
    return any(ends[1] == port for ends in sockets.connections(os.getpid()))
