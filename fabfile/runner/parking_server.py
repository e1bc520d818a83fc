"""The process behind a parking lot: it accepts whom the lot lets out, and joins each with the runtime.

It has the sockets from systemd and no rights at all. What it goes by is the lot's state file, see `parking`.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Callable

from .parking import Exits, Lot
from .system.machine import POLL_SECONDS

_NOBODY = 65534
_FIRST = 3  # the first file descriptor that systemd hands over, sd_listen_fds(3)
_PATIENCE = 10.0  # seconds in which a runtime that refuses a connection is asked again
_CHUNK = 65536  # bytes
AT_FIRST = 16  # requests to one port that are let through before the first one is answered …
QUICK = 2.0  # … and one more at once with each that is answered in at most so many times what the quickest one took
COLD = 5.0  # seconds after which a request makes room for the next one though nothing has been answered at all …
SLOW = 1.0  # … and though it has not been answered itself: it must not keep the others back


def serve(state: Path) -> None:
    """Be the process behind a lot, with the sockets that systemd hands over, until it is closed."""
    count = int(os.environ["LISTEN_FDS"])
    sockets = [socket.socket(fileno=_FIRST + number) for number in range(count)]
    lot = Lot(state.stem, state.parent)
    heard = open(lot.heard, "wb", buffering=0)  # noqa: SIM115  as long as the process lives
    if not state.exists():  # closed before this process had begun, and cleared already
        lot.heard.unlink(missing_ok=True)
    if os.geteuid() == 0:
        # Strangers' bytes pass through here: it needs no rights at all.
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    asyncio.run(Warden(state, sockets, heard).watch())


class Warden:
    """Accepts connections while there is an exit for their port, and joins each with it, first come, first served.

    Few are let through at once: a server that was started a moment ago would otherwise have all of them to answer at
    the same time, and would answer none for long. Whoever is answered makes room for the next one, and for one more as
    long as several at once are answered as quickly as one.
    """

    def __init__(self, state: Path, sockets: list[socket.socket], heard: IO[bytes] | None = None) -> None:
        self._state = state
        self._gates = {sock.getsockname()[1]: _Gate(sock) for sock in sockets}
        self._heard = heard
        self._told = b""
        self._exits: Exits = {}
        self._passing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def watch(self) -> None:
        """Follow the state file until it is gone; then let out whom it was meant for, and end."""
        for gate in self._gates.values():
            gate.sock.setblocking(False)
        while self._read():
            await asyncio.sleep(POLL_SECONDS)
        self._closed = True
        for port, gate in self._gates.items():
            if port in self._exits:
                self._accept(port)
            asyncio.get_running_loop().remove_reader(gate.sock)
            gate.sock.close()
        while self._passing:  # whoever ends has let the next one through before
            await asyncio.wait(self._passing, return_when=asyncio.FIRST_COMPLETED)

    def _read(self) -> bool:
        """Whether the lot is still open; its exits are the file's from now on."""
        try:
            text = self._state.read_bytes()
        except FileNotFoundError:
            return False
        if text == self._told:
            return True
        self._told = text
        lots = json.loads(text)
        self._exits = {int(port): (place[0], int(place[1])) for port, place in lots["exits"].items()}
        loop = asyncio.get_running_loop()
        for port, gate in self._gates.items():
            loop.remove_reader(gate.sock)
            if port in self._exits:
                gate.most, gate.quickest = AT_FIRST, None
                loop.add_reader(gate.sock, self._accept, port)
                self._admit(port)
        if self._heard is not None:
            # Where the disk is full nobody hears of it, and who passes here passes all the same.
            with contextlib.suppress(OSError):
                self._heard.seek(0)
                self._heard.write(lots.get("turn", "").encode())
        return True

    def _accept(self, port: int) -> None:
        """Take everybody who waits at a port, and let through whom there is room for."""
        gate = self._gates[port]
        while True:
            try:
                connection, _ = gate.sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                break
            connection.setblocking(False)
            gate.waiting.append(connection)
        self._admit(port)

    def _admit(self, port: int) -> None:
        gate = self._gates[port]
        while gate.waiting and gate.under_way < gate.most and port in self._exits:
            gate.under_way += 1
            task = asyncio.get_running_loop().create_task(self._pass(gate.waiting.popleft(), port))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _pass(self, connection: socket.socket, port: int) -> None:
        """Join a connection with its exit until both sides have ended."""
        place = _Place(self._gates[port], lambda: self._admit(port))
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            with contextlib.closing(writer), contextlib.suppress(OSError):
                far_reader, far_writer = await self._reach(port)
                with contextlib.closing(far_writer):
                    place.asked()
                    await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer, place.answered))
        finally:
            place.leave()

    async def _reach(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, again and again where it is refused: a request that waited so long should not fail by an instant.

        Who has not got through when the lot is held again waits with the others for the next exit.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + _PATIENCE
        while True:
            exit_ = self._exits.get(port)
            if exit_ is None:
                if self._closed:
                    raise ConnectionAbortedError
                ends = loop.time() + _PATIENCE
            else:
                try:
                    return await asyncio.open_connection(*exit_)
                except ConnectionRefusedError:
                    if loop.time() > ends:
                        raise
            await asyncio.sleep(POLL_SECONDS)


@dataclass
class _Gate:
    """One port of a lot: who waits there, in the order in which they came, and how many of the others owe an answer."""

    sock: socket.socket
    waiting: collections.deque[socket.socket] = field(default_factory=collections.deque)
    under_way: int = 0
    most: int = 0
    quickest: float | None = None  # seconds that the quickest answer took


class _Place:
    """One of the places at a gate, from being let through to the first byte of an answer."""

    def __init__(self, gate: _Gate, left: Callable[[], None]) -> None:
        self._gate, self._left, self._here = gate, left, True
        self._since: float | None = None
        self._late: asyncio.TimerHandle | None = None

    def asked(self) -> None:
        """The request is with the server now."""
        loop = asyncio.get_running_loop()
        self._since = loop.time()
        self._late = loop.call_later(COLD if self._gate.quickest is None else SLOW, self.leave)

    def answered(self) -> None:
        """The server answers. Where it is no slower for having several at once, it can have one more."""
        if self._since is None:
            return
        seconds, self._since = asyncio.get_running_loop().time() - self._since, None
        self._gate.quickest = min(seconds, seconds if self._gate.quickest is None else self._gate.quickest)
        if seconds <= QUICK * self._gate.quickest:
            self._gate.most += 1
        self.leave()

    def leave(self) -> None:
        """Make room for the next one."""
        if self._late is not None:
            self._late.cancel()
        if self._here:
            self._here = False
            self._gate.under_way -= 1
            self._left()


async def _pump(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, began: Callable[[], None] = lambda: None
) -> None:
    """Copy until the source ends, and tell the target that it has; `began` hears of every part."""
    try:
        while True:
            part = await source.read(_CHUNK)
            if not part:
                break
            began()
            target.write(part)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
    except OSError:
        target.close()
