"""The process behind a parking lot: accepts the connections that the lot releases, and joins each with the runtime.

It gets the sockets from systemd, has no privileges, and follows the lot's state file, see `parking`.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Callable

from .parking import Destinations, Lot
from .system.machine import POLL_SECONDS
from .wire import shape

_NOBODY_UID = 65534
_FIRST_DESCRIPTOR = 3  # the first file descriptor that systemd passes, sd_listen_fds(3)
_CONNECT_SECONDS = 10.0  # for which a connection that the runtime refuses is retried
_CHUNK_BYTES = 65536
INITIAL_LIMIT = 16  # requests to one port in flight; one more with each answer that took at most …
QUICK_FACTOR = 2.0  # … so many times as long as the quickest one
FIRST_ANSWER_SECONDS = 5.0  # after which a request makes room for the next while there is no answer at all …
ANSWER_SECONDS = 1.0  # … and later, while there is none to itself: it must not delay the others


def serve(state: Path) -> None:
    """Run the process behind a lot, with the sockets that systemd passes, until the lot is closed."""
    count = int(os.environ["LISTEN_FDS"])
    sockets = [socket.socket(fileno=_FIRST_DESCRIPTOR + number) for number in range(count)]
    lot = Lot(state.stem, state.parent)
    acknowledgement = open(lot.acknowledgement, "wb", buffering=0)  # noqa: SIM115  as long as the process lives
    if not state.exists():  # the lot was closed, and its files removed, before this process began
        lot.acknowledgement.unlink(missing_ok=True)
    if os.geteuid() == 0:
        # It handles strangers' bytes and needs no privileges.
        os.setgroups([])
        os.setgid(_NOBODY_UID)
        os.setuid(_NOBODY_UID)
    asyncio.run(ParkingServer(state, sockets, acknowledgement).run())


class ParkingServer:
    """Accepts connections while there is a destination for their port, and joins each with it, in order of arrival.

    It limits how many are in flight: a server that has just started would otherwise have to answer all of them at the
    same time, and would answer none for long. Each answer makes room for the next request, and for one more as long as
    several at once are answered as quickly as one.
    """

    def __init__(self, state: Path, sockets: list[socket.socket], acknowledgement: IO[bytes] | None = None) -> None:
        self._state = state
        self._ports = {sock.getsockname()[1]: _Port(sock) for sock in sockets}
        self._acknowledgement = acknowledgement
        self._state_text = b""
        self._destinations: Destinations = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def run(self) -> None:
        """Follow the state file until it is gone; then join the connections that still wait, and end."""
        for port_state in self._ports.values():
            port_state.sock.setblocking(False)
        while self._read_state():
            await asyncio.sleep(POLL_SECONDS)
        self._closed = True
        for port, port_state in self._ports.items():
            if port in self._destinations:
                self._accept(port)
            asyncio.get_running_loop().remove_reader(port_state.sock)
            port_state.sock.close()
        while self._tasks:  # each makes room for the next before it ends
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def _read_state(self) -> bool:
        """Read the lot's destinations from the state file; returns whether the lot is still open."""
        try:
            text = self._state.read_bytes()
        except FileNotFoundError:
            return False
        if text == self._state_text:
            return True
        self._state_text = text
        state = shape.parse(text)
        self._destinations = {int(port): (host, int(number)) for port, (host, number) in state["exits"].items()}
        loop = asyncio.get_running_loop()
        for port, port_state in self._ports.items():
            loop.remove_reader(port_state.sock)
            if port in self._destinations:
                port_state.limit, port_state.quickest = INITIAL_LIMIT, None
                loop.add_reader(port_state.sock, self._accept, port)
                self._admit(port)
        if self._acknowledgement is not None:
            # On a full disk it cannot be acknowledged, and the connections are joined all the same.
            with contextlib.suppress(OSError):
                self._acknowledgement.seek(0)
                self._acknowledgement.write(state.get("turn", "").encode())
        return True

    def _accept(self, port: int) -> None:
        """Accept every connection that waits at a port, and join as many as the limit allows."""
        port_state = self._ports[port]
        while True:
            try:
                connection, _ = port_state.sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                break
            connection.setblocking(False)
            port_state.waiting.append(connection)
        self._admit(port)

    def _admit(self, port: int) -> None:
        port_state = self._ports[port]
        while port_state.waiting and port_state.in_flight < port_state.limit and port in self._destinations:
            port_state.in_flight += 1
            task = asyncio.get_running_loop().create_task(self._join(port_state.waiting.popleft(), port))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _join(self, connection: socket.socket, port: int) -> None:
        """Join a connection with its destination until both sides have ended."""
        slot = _Slot(self._ports[port], lambda: self._admit(port))
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            with contextlib.closing(writer), contextlib.suppress(OSError):
                upstream_reader, upstream_writer = await self._connect(port)
                with contextlib.closing(upstream_writer):
                    slot.sent()
                    await asyncio.gather(_pump(reader, upstream_writer), _pump(upstream_reader, writer, slot.on_answer))
        finally:
            slot.free()

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a port's destination; while that is refused, retry: a request that waited should not fail at once.

        While the lot is held again it waits with the others for the next destination.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CONNECT_SECONDS
        while True:
            destination = self._destinations.get(port)
            if destination is None:
                if self._closed:
                    raise ConnectionAbortedError
                deadline = loop.time() + _CONNECT_SECONDS
            else:
                try:
                    return await asyncio.open_connection(*destination)
                except ConnectionRefusedError:
                    if loop.time() > deadline:
                        raise
            await asyncio.sleep(POLL_SECONDS)


@dataclass
class _Port:
    """One port of a lot: the connections that wait, in order of arrival, and how many requests are in flight."""

    sock: socket.socket
    waiting: collections.deque[socket.socket] = field(default_factory=collections.deque)
    in_flight: int = 0
    limit: int = 0
    quickest: float | None = None  # seconds that the quickest answer took


class _Slot:
    """One request in flight at a port, from the connection to the first byte of its answer."""

    def __init__(self, port_state: _Port, on_free: Callable[[], None]) -> None:
        self._port, self._on_free, self._occupied = port_state, on_free, True
        self._sent_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def sent(self) -> None:
        """Note that the request is at the server."""
        loop = asyncio.get_running_loop()
        self._sent_at = loop.time()
        self._timer = loop.call_later(
            FIRST_ANSWER_SECONDS if self._port.quickest is None else ANSWER_SECONDS, self.free
        )

    def on_answer(self) -> None:
        """Count an answer. As long as several at once are answered as quickly as one, the limit rises."""
        if self._sent_at is None:
            return
        seconds, self._sent_at = asyncio.get_running_loop().time() - self._sent_at, None
        self._port.quickest = min(seconds, seconds if self._port.quickest is None else self._port.quickest)
        if seconds <= QUICK_FACTOR * self._port.quickest:
            self._port.limit += 1
        self.free()

    def free(self) -> None:
        """Make room for the next request."""
        if self._timer is not None:
            self._timer.cancel()
        if self._occupied:
            self._occupied = False
            self._port.in_flight -= 1
            self._on_free()


async def _pump(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, on_part: Callable[[], None] = lambda: None
) -> None:
    """Copy until the source ends, then end the target; calls `on_part` for every chunk."""
    try:
        while True:
            chunk = await source.read(_CHUNK_BYTES)
            if not chunk:
                break
            on_part()
            target.write(chunk)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
    except OSError:
        target.close()
