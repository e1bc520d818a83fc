"""The users: clients that send requests at a steady pace, and websockets that reconnect when they are cut."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from bench.client import Client, EdgeAddress, Request, Sample

RETRY_SECONDS = 0.1  # between two tries to open a websocket


@dataclass(frozen=True)
class Cut:
    """A websocket that was cut: seconds until it was open again, refused tries, and the runtime that it is open to."""

    at: float
    seconds: float
    refusals: int
    runtime: str


@dataclass(frozen=True)
class Pace:
    """How many clients and websockets there are, and a client's pause between two requests (seconds, on average)."""

    clients: int
    sockets: int
    think: float


class Crowd:
    """Sends requests from the entry of `async with` to its exit, and then waits for the last answers."""

    def __init__(self, edge: EdgeAddress, requests: Sequence[Request], socket: Request, pace: Pace) -> None:
        self.samples: list[Sample] = []
        self.cuts: list[Cut] = []
        self.open = 0  # websockets
        self._edge, self._requests, self._socket, self._pace = edge, requests, socket, pace
        self._stopping = asyncio.Event()
        self._clients: list[asyncio.Task[None]] = []
        self._websockets: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Crowd:
        self._clients = [asyncio.create_task(self._run_client(number)) for number in range(self._pace.clients)]
        self._websockets = [asyncio.create_task(self._run_websocket()) for _ in range(self._pace.sockets)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for task in self._websockets:
            task.cancel()
        await asyncio.gather(*self._clients)
        await asyncio.gather(*self._websockets, return_exceptions=True)

    async def _run_client(self, number: int) -> None:
        """Every other client keeps its connection; each begins with another request."""
        keep, generator = number % 2 == 0, random.Random(number)
        clients = {name: Client(self._edge, keep=keep) for name in {q.domain for q in self._requests}}
        start = number // 2 % len(self._requests)
        for request in itertools.cycle([*self._requests[start:], *self._requests[:start]]):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._pace.think * generator.uniform(0.5, 1.5))
            if self._stopping.is_set():
                break
            self.samples.append(await clients[request.domain].send(request))
        for client in clients.values():
            client.close()

    async def _run_websocket(self) -> None:
        cut_at = 0.0
        while True:
            connection, refusals = await self._open_websocket()
            if cut_at:
                runtime = connection.response.headers.get(self._socket.header, "") if connection.response else ""
                self.cuts.append(Cut(cut_at, time.monotonic() - cut_at, refusals, runtime))
            self.open += 1
            async with connection:
                with contextlib.suppress(ConnectionClosed):
                    async for _ in connection:
                        pass
            self.open -= 1
            cut_at = time.monotonic()

    async def _open_websocket(self) -> tuple[ClientConnection, int]:
        """An open websocket, and how many tries were refused before."""
        for refusals in itertools.count():
            try:
                connection = await connect(
                    f"wss://{self._socket.domain}{self._socket.path}",
                    host=self._edge.address,
                    port=self._edge.port,
                    ssl=self._edge.trust,
                    server_hostname=self._socket.domain,
                    compression=None,
                    open_timeout=60,
                    close_timeout=0.1,
                    proxy=None,
                )
            except (OSError, WebSocketException, EOFError):  # TimeoutError is an OSError
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return connection, refusals
        raise AssertionError("it counts without end")
