"""One user: sends requests over TLS and records the result of each.

A request on a reused connection that is closed before any byte of its answer is sent again on a new one, as browsers
and CDNs do (RFC 9112, 9.3.1): the server had closed an idle connection just as it was used again. Such a repeat is
counted apart; any other error is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import SupportsIndex

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class EdgeAddress:
    """Address and port of the edge, used in place of DNS, and the certificates that are trusted."""

    address: str
    port: int
    trust: ssl.SSLContext


@dataclass(frozen=True)
class Request:
    """A request; `header` of its answer names the runtime that served it."""

    name: str
    domain: str
    path: str
    method: str = "GET"
    body: bytes = b""
    header: str = "x-islandflow-runtime"


@dataclass(frozen=True)
class Sample:
    """The result of one request: `seconds` from the first try to the last byte of the answer."""

    request: Request
    started: float  # on the monotonic clock
    seconds: float
    failure: str = ""  # of which kind; empty when it was served
    repeated: bool = False
    runtime: str = ""


class Failure(Exception):
    """A request that was not served; the message is the kind of failure."""


class ClosedBeforeAnswer(Failure):
    """The connection ended before any byte of an answer."""


class _Stream(asyncio.StreamReader):
    """Counts the arrivals of data: an error hides what came before it."""

    received = 0

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        self.received += 1  # whatever it is, it is not nothing
        super().feed_data(data)


class Client:
    """Sends one request after the other; with `keep` over one connection for as long as it lasts."""

    def __init__(self, edge: EdgeAddress, *, keep: bool, limit: float = 60.0) -> None:
        self._edge = edge
        self._keep = keep
        self._limit = limit  # seconds for a request, its repeat included
        self._stream: _Stream | None = None
        self._transport: asyncio.Transport | None = None
        self._domain = ""

    async def send(self, request: Request) -> Sample:
        """Send a request, and repeat it where a browser would; returns the result, never raises."""
        started = time.monotonic()
        failure, runtime, repeated = "", "", False
        try:
            async with asyncio.timeout(self._limit):
                reused = self._reusable(request.domain)
                try:
                    runtime = await self._answer(request)
                except ClosedBeforeAnswer:
                    if not reused:
                        raise
                    repeated = True
                    runtime = await self._answer(request)
        except TimeoutError:
            failure = "timeout"
        except Failure as error:
            failure = str(error)
        if failure or not self._keep:
            self.close()
        return Sample(request, started, time.monotonic() - started, failure, repeated, runtime)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._transport is not None:
            self._transport.abort()
        self._stream = self._transport = None

    def _reusable(self, domain: str) -> bool:
        """Whether the last connection is good for one more: for this name, and not known to be closed."""
        if self._stream is None or self._transport is None:
            return False
        return domain == self._domain and not self._stream.at_eof() and not self._transport.is_closing()

    async def _answer(self, request: Request) -> str:
        """One try; returns the runtime that served it. Raises Failure, and then the connection is gone."""
        try:
            if not self._reusable(request.domain):
                await self._connect(request.domain)
            assert self._stream and self._transport
            with _as_failure(self._stream):
                self._transport.write(self._encoded(request))
                status, headers = await _head(self._stream)
                await _body(self._stream, headers)
        except Failure:
            self.close()
            raise
        if headers.get("connection", "").lower() == "close":
            self.close()
        if status >= 400:
            whose = " in JSON: the app's own" if "json" in headers.get("content-type", "") else ""
            raise Failure(f"answered {status}{whose}")
        return str(headers.get(request.header, ""))

    async def _connect(self, domain: str) -> None:
        self.close()
        stream = _Stream()
        protocol = asyncio.StreamReaderProtocol(stream)
        try:
            self._transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: protocol, self._edge.address, self._edge.port, ssl=self._edge.trust, server_hostname=domain
            )
        except OSError as error:  # TLS that is cut off while it greets is one, too
            raise Failure(f"no connection: {type(error).__name__}") from error
        self._stream, self._domain = stream, domain

    def _encoded(self, request: Request) -> bytes:
        lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {request.domain}"]
        if request.method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {len(request.body)}"]
        lines += [] if self._keep else ["Connection: close"]
        return "\r\n".join([*lines, "", ""]).encode() + request.body


@contextlib.contextmanager
def _as_failure(stream: _Stream) -> Iterator[None]:
    """Raise what ends a request as a Failure of its kind."""
    before = stream.received
    try:
        yield
    except (OSError, asyncio.IncompleteReadError) as error:
        if stream.received == before:
            raise ClosedBeforeAnswer("closed before any byte of an answer") from error
        raise Failure("cut off in the middle of an answer") from error
    except (ValueError, http.client.HTTPException, asyncio.LimitOverrunError) as error:
        raise Failure(f"no HTTP: {type(error).__name__}") from error


async def _head(stream: asyncio.StreamReader) -> tuple[int, http.client.HTTPMessage]:
    head = await stream.readuntil(HEAD_END)
    status_line, _, rest = head.partition(b"\r\n")
    return int(status_line.split()[1]), http.client.parse_headers(io.BytesIO(rest))


async def _body(stream: asyncio.StreamReader, headers: http.client.HTTPMessage) -> None:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await stream.readuntil(b"\r\n")).split(b";")[0], 16):
            await stream.readexactly(size + 2)
        await stream.readexactly(2)
    elif "content-length" in headers:
        await stream.readexactly(int(headers["content-length"]))
    else:
        await stream.read()
