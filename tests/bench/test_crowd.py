"""The crowd: it asks at its pace, waits for its last answers, and its websockets come back."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets import http11
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers

from bench.client import EdgeAddress, Request
from bench.crowd import Crowd, Pace
from tests.support.https_server import Authority

LIVE = Request("websocket", "app.test", "/ws/live")
PAGE = Request("page", "app.test", "/")


class Edge:
    """Answers pages after a while, and cuts and refuses websockets when it is told to."""

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder)
        self._certificate = self._authority.certificate("app.test")
        self.runtime, self.refusing, self.slow = "docker", False, 0.0
        self.sockets: set[ServerConnection] = set()

    async def __aenter__(self) -> EdgeAddress:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._certificate)
        self._server = await serve(
            self._listen, "127.0.0.1", 0, ssl=context, process_request=self._page, process_response=self._by
        )
        trust = ssl.create_default_context(cafile=str(self._authority.file))
        return EdgeAddress("127.0.0.1", next(iter(self._server.sockets)).getsockname()[1], trust)

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _listen(self, connection: ServerConnection) -> None:
        self.sockets.add(connection)
        await connection.wait_closed()
        self.sockets.discard(connection)

    async def _page(self, connection: ServerConnection, request: http11.Request) -> http11.Response | None:
        if request.path == LIVE.path and not self.refusing:
            return None
        await asyncio.sleep(self.slow)
        status = HTTPStatus.BAD_GATEWAY if request.path == LIVE.path else HTTPStatus.OK
        return http11.Response(status, "", Headers({"Content-Length": "2", "Connection": "close"}), b"ok")

    def _by(self, connection: ServerConnection, request: http11.Request, response: http11.Response) -> http11.Response:
        response.headers["X-Islandflow-Runtime"] = self.runtime
        return response


async def _until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
def edge(tmp_path: Path) -> Edge:
    return Edge(tmp_path)


def test_a_websocket_that_is_cut_comes_back_and_tells_how(edge: Edge) -> None:
    async def run() -> Crowd:
        async with edge as door, Crowd(door, [PAGE], LIVE, Pace(0, 3, 1)) as crowd:
            await _until(lambda: crowd.open == 3)
            edge.runtime, edge.refusing = "native", True
            for connection in list(edge.sockets):
                connection.transport.abort()
            await asyncio.sleep(0.3)
            edge.refusing = False
            await _until(lambda: crowd.open == 3 and len(crowd.cuts) == 3)
        return crowd

    crowd = asyncio.run(run())
    assert [cut.runtime for cut in crowd.cuts] == ["native"] * 3
    assert all(cut.refusals >= 1 and cut.seconds >= 0.2 for cut in crowd.cuts)


def test_the_crowd_asks_everything_and_waits_for_its_last_answers(edge: Edge) -> None:
    async def run() -> Crowd:
        edge.slow = 0.2
        async with edge as door, Crowd(door, [PAGE], LIVE, Pace(6, 0, 0.02)) as crowd:
            await _until(lambda: len(crowd.samples) >= 12)
        return crowd

    crowd = asyncio.run(run())
    assert not [sample.failure for sample in crowd.samples if sample.failure]
    assert {sample.request.name for sample in crowd.samples} == {"page"}
    assert all(sample.seconds >= 0.2 for sample in crowd.samples)
