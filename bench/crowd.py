"""The public: clients that keep asking at a steady pace, and websockets that come back when they are cut."""

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

from bench.client import Client, Door, Question, Sample

RETRY = 0.1  # seconds between two tries to open a websocket


@dataclass(frozen=True)
class Cut:
    """A websocket that was cut, and how it came back: after how long (seconds), how many refused tries, by whom."""

    at: float
    seconds: float
    refused: int
    runtime: str


@dataclass(frozen=True)
class Pace:
    """How many there are, and how long a client thinks between two requests (seconds, on average)."""

    clients: int
    sockets: int
    think: float


class Crowd:
    """Asks from `async with` on until it is left, and then waits for the last answers."""

    def __init__(self, door: Door, questions: Sequence[Question], socket: Question, pace: Pace) -> None:
        self.samples: list[Sample] = []
        self.cuts: list[Cut] = []
        self.open = 0  # websockets
        self._door, self._questions, self._socket, self._pace = door, questions, socket, pace
        self._leaving = asyncio.Event()
        self._browsing: list[asyncio.Task[None]] = []
        self._listening: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Crowd:
        self._browsing = [asyncio.create_task(self._browse(number)) for number in range(self._pace.clients)]
        self._listening = [asyncio.create_task(self._listen()) for _ in range(self._pace.sockets)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._browsing)
        await asyncio.gather(*self._listening, return_exceptions=True)

    async def _browse(self, number: int) -> None:
        """Every other client keeps its connection; each begins with another question."""
        keep, chance = number % 2 == 0, random.Random(number)
        clients = {name: Client(self._door, keep=keep) for name in {q.domain for q in self._questions}}
        start = number // 2 % len(self._questions)
        for question in itertools.cycle([*self._questions[start:], *self._questions[:start]]):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), self._pace.think * chance.uniform(0.5, 1.5))
            if self._leaving.is_set():
                break
            self.samples.append(await clients[question.domain].ask(question))
        for client in clients.values():
            client.close()

    async def _listen(self) -> None:
        cut_at = 0.0
        while True:
            connection, refused = await self._opened()
            if cut_at:
                runtime = connection.response.headers.get(self._socket.header, "") if connection.response else ""
                self.cuts.append(Cut(cut_at, time.monotonic() - cut_at, refused, runtime))
            self.open += 1
            async with connection:
                with contextlib.suppress(ConnectionClosed):
                    async for _ in connection:
                        pass
            self.open -= 1
            cut_at = time.monotonic()

    async def _opened(self) -> tuple[ClientConnection, int]:
        """An open websocket, and how many tries were refused before."""
        for refused in itertools.count():
            try:
                connection = await connect(
                    f"wss://{self._socket.domain}{self._socket.path}",
                    host=self._door.address,
                    port=self._door.port,
                    ssl=self._door.trust,
                    server_hostname=self._socket.domain,
                    compression=None,
                    open_timeout=60,
                    close_timeout=0.1,
                    proxy=None,
                )
            except (OSError, WebSocketException, EOFError):  # TimeoutError is an OSError
                await asyncio.sleep(RETRY)
            else:
                return connection, refused
        raise AssertionError("it counts without end")
