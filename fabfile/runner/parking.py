"""The parking lot: while nobody owns the app, requests wait in it instead of failing.

systemd holds its listening sockets, so connections to them are queued by the kernel and never refused, whatever
becomes of the process behind them. That process accepts nothing until the lot is released, and then passes every
connection on to the runtime that the lot was released to, the restored one included.

A lot is one transient unit, and one state file that its process reads again and again: the exits, by port. No exits:
everybody waits. No file: the lot is closed, and the process ends with its last connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple

from .atomic import put, remove
from .machine import POLL, Machine

FOLDER = Path("/run/islandflow")
BACKLOG = 4096  # connections that wait; the kernel's own limit (net.core.somaxconn) is the same by default
_NOBODY = 65534
_FIRST = 3  # the first file descriptor that systemd hands over, sd_listen_fds(3)
_PATIENCE = 10.0  # seconds in which a runtime that refuses a connection is asked again
_CHUNK = 65536  # bytes

Place = Tuple[str, int]
Exits = Dict[int, Place]  # port of the lot → where its connections go


@dataclass(frozen=True)
class Lot:
    """An open parking lot, by the unit that holds its sockets."""

    unit: str
    folder: Path = FOLDER

    @property
    def state(self) -> Path:
        """Its state file."""
        return self.folder / f"{self.unit}.json"

    def release(self, exits: Exits) -> None:
        """Let the connections through to their exits, those that wait and those to come; with none, hold them."""
        # The process behind the lot is nobody's, so everybody may read it; it holds no more than addresses.
        put(self.state, json.dumps({"exits": exits}).encode(), 0o644, "root", "root")


def current(folder: Path = FOLDER) -> Optional[Lot]:
    """The lot that is open; None when there is none, as after a reboot."""
    try:
        name = os.readlink(folder / "parking")
    except FileNotFoundError:
        return None
    lot = Lot(name[: -len(".json")], folder)
    return lot if lot.state.exists() else None


def begin(machine: Machine, unit: str, address: str, ports: Tuple[int, ...], folder: Path = FOLDER) -> Lot:
    """Open a lot on these ports of an address; everybody who connects waits. Raises StepFailed, OSError."""
    lot = Lot(unit, folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # whatever it was: the process behind the lot is nobody's
    lot.release({})
    (folder / "parking").unlink(missing_ok=True)
    (folder / "parking").symlink_to(lot.state.name)
    listen = [f"--socket-property=ListenStream={address}:{port}" for port in ports]
    machine.run(
        ["systemd-run", "--quiet", "--collect", f"--unit={unit}", "--description=Islandflow: requests wait here"]
        + listen
        + [f"--socket-property=Backlog={BACKLOG}", "--socket-property=FreeBind=yes", "--property=LimitNOFILE=65536"]
        + [sys.executable, "-I", str((machine.ops / "runner.pyz").resolve()), "park", str(lot.state)]
    )
    # Not left to the first connection: it starts in its own time now, and nobody waits for it later.
    machine.run(["systemctl", "start", f"{unit}.service"])
    return lot


def is_open(machine: Machine, unit: str) -> bool:
    """Whether systemd holds this lot's sockets. Raises StepFailed."""
    return machine.run(["systemctl", "is-active", "--quiet", f"{unit}.socket"], ok=None).code == 0


def close(machine: Machine, unit: str, folder: Path = FOLDER) -> None:
    """Close a lot, open or half open. What passes through it goes on to its end. Raises StepFailed, OSError."""
    lot = Lot(unit, folder)
    if current(folder) == lot:
        remove(folder / "parking")
    remove(lot.state)
    machine.run(["systemctl", "stop", f"{unit}.socket"], ok=(0, 5))  # 5: it is not loaded, or not any more


def serve(state: Path) -> None:
    """Be the process behind a lot, with the sockets that systemd hands over, until it is closed."""
    count = int(os.environ["LISTEN_FDS"])
    sockets = [socket.socket(fileno=_FIRST + number) for number in range(count)]
    if os.geteuid() == 0:
        # Strangers' bytes pass through here: it needs no rights at all.
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    asyncio.run(Warden(state, sockets).watch())


class Warden:
    """Accepts connections while there is an exit for their port, and joins each with its exit."""

    def __init__(self, state: Path, sockets: List[socket.socket]) -> None:
        self._state = state
        self._sockets = {sock.getsockname()[1]: sock for sock in sockets}
        self._exits: Exits = {}
        self._passing: Set["asyncio.Task[None]"] = set()

    async def watch(self) -> None:
        """Follow the state file until it is gone; then let out whom it was meant for, and end."""
        for sock in self._sockets.values():
            sock.setblocking(False)
        while self._read():
            await asyncio.sleep(POLL)
        for port in self._exits:
            self._accept(port)
        for sock in self._sockets.values():
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        while self._passing:
            await asyncio.wait(self._passing)

    def _read(self) -> bool:
        try:
            told = json.loads(self._state.read_text())
        except FileNotFoundError:
            return False
        exits = {int(port): (place[0], int(place[1])) for port, place in told["exits"].items()}
        loop = asyncio.get_running_loop()
        for port, sock in self._sockets.items():
            if port in exits and port not in self._exits:
                loop.add_reader(sock, self._accept, port)
            elif port not in exits:
                loop.remove_reader(sock)
        self._exits = exits
        return True

    def _accept(self, port: int) -> None:
        """Take everybody who waits at a port."""
        while True:
            try:
                connection, _ = self._sockets[port].accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            task = asyncio.get_running_loop().create_task(_pass(connection, self._exits[port]))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)


async def _pass(connection: socket.socket, place: Place) -> None:
    """Join a connection with its exit until both sides have ended."""
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection)
    with contextlib.closing(writer), contextlib.suppress(OSError):
        far_reader, far_writer = await _reach(place)
        with contextlib.closing(far_writer):
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _reach(place: Place) -> Tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, again and again where it is refused: a request that waited so long should not fail by an instant."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + _PATIENCE
    while True:
        try:
            return await asyncio.open_connection(*place)
        except ConnectionRefusedError:
            if loop.time() > ends:
                raise
            await asyncio.sleep(POLL)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the source ends, and tell the target that it has."""
    try:
        while True:
            part = await source.read(_CHUNK)
            if not part:
                break
            target.write(part)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
    except OSError:
        target.close()
