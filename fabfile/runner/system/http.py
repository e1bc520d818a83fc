"""The runner's HTTP client: one request, one answer, one connection.

One policy for all callers. The deadline is for the whole exchange, from the connection to the last byte of the body:
a server that sends a byte now and then cannot exceed it. A body that is kept has a size limit. Redirects are not
followed, and certificates are verified unless the caller's context disables that.
"""

from __future__ import annotations

import contextlib
import enum
import http.client
import io
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .deadline import Deadline

MAX_BODY_BYTES = 16 << 20  # of a body that is kept; NATS' monitoring answers with some hundred KiB
_CHUNK_BYTES = 64 << 10  # read at once


class Body(enum.Enum):
    """How an answer's body is read."""

    KEEP = "keep"  # up to the limit
    DRAIN = "drain"  # read to its end, however long it is, and dropped
    SKIP = "skip"  # not read at all


def is_unanswered(error: OSError) -> bool:
    """Whether a request got no answer at all since the connection was closed, as by nginx' `return 444`."""
    return isinstance(error, ConnectionResetError) or getattr(error, "kind", "") == "RemoteDisconnected"


class BadAnswer(OSError):
    """The answer is not HTTP, or too long; `kind` is the problem in one word, without any of what was sent."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind


@dataclass(frozen=True)
class Answer:
    """A server's answer; the names of `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


def unverified() -> ssl.SSLContext:
    """A context for TLS that accepts any certificate: for the edge, which is requested by its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def request(
    address: str,
    port: int,
    path: str,
    *,
    seconds: float,
    method: str = "GET",
    host: str = "",
    headers: Mapping[str, str] | None = None,
    payload: bytes | None = None,
    tls: ssl.SSLContext | None = None,
    body: Body = Body.KEEP,
) -> Answer:
    """The answer to one request at address:port, complete within `seconds`.

    `host` is the hostname in the request and in TLS, if it is another than the address. Raises socket.timeout when the
    time is up, BadAnswer for what is no HTTP or longer than MAX_BODY_BYTES, ssl.SSLError, and OSError for all else.
    """
    with _errors():
        connection = _Connection(address, port, host, tls, Deadline(seconds))
        return _exchange(connection, method, path, headers, payload, body)


def request_over(
    connection_socket: socket.socket, path: str, *, seconds: float, host: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """As `request`, for a GET over an open connection, which is closed then; the body is not read."""
    with connection_socket, _errors():
        connection = _Connection(host, http.client.HTTP_PORT, host, None, Deadline(seconds))
        connection.sock = connection_socket
        return _exchange(connection, "GET", path, headers, None, Body.SKIP)


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Convert http.client's exceptions to those that `request` documents."""
    try:
        yield
    except OSError:  # some of http.client's errors are of both kinds
        raise
    except http.client.IncompleteRead as error:
        raise BadAnswer("IncompleteRead", "the answer ends before it is complete") from error
    except (http.client.HTTPException, ValueError) as error:
        raise BadAnswer(type(error).__name__, str(error)) from error


class _Connection(http.client.HTTPConnection):
    """A connection that is opened once the request is valid; each wait ends with the deadline."""

    def __init__(self, address: str, port: int, host: str, tls: ssl.SSLContext | None, deadline: Deadline) -> None:
        super().__init__(address, port)
        self.deadline = deadline
        self.authority = host or _authority(address, port, tls)
        self._host = host or address
        self._tls = tls

    def connect(self) -> None:
        self.sock = _connect(self.host, self.port, self.deadline)
        if self._tls:
            _limit_wait(self.sock, self.deadline)
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._host)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _limit_wait(self.sock, self.deadline)
        super().send(data)


class _Response(http.client.HTTPResponse):
    """A response each read of which ends with the deadline."""

    def __init__(self, line: socket.socket, method: str, deadline: Deadline) -> None:
        super().__init__(line, method=method)
        self.fp.close()
        self.fp = io.BufferedReader(_Reader(line, deadline))


class _Reader(io.RawIOBase):
    def __init__(self, line: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._line = line
        self._deadline = deadline
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            _limit_wait(self._line, self._deadline)
            count = self._line.recv_into(buffer)
        except socket.timeout:  # not TimeoutError before Python 3.10
            if self._begun:
                raise socket.timeout(f"the answer did not end within {self._deadline.seconds:.1f} s") from None
            raise
        self._begun = True
        return count


def _exchange(
    connection: _Connection,
    method: str,
    path: str,
    headers: Mapping[str, str] | None,
    payload: bytes | None,
    body: Body,
) -> Answer:
    sent = {"Host": connection.authority, "Connection": "close", **(headers or {})}
    try:
        connection.request(method, path, payload, sent)
        with _Response(connection.sock, method, connection.deadline) as response:
            response.begin()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, _read(response, body))
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, body: Body) -> bytes:
    if body is Body.SKIP:
        return b""
    content = bytearray()
    for chunk in _chunks(response):
        if body is Body.KEEP:
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                raise BadAnswer("TooLong", f"the answer has more than {MAX_BODY_BYTES >> 20} MiB, which is the limit")
    return bytes(content)


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body in chunks. Raises IncompleteRead where it ends before its announced length."""
    left = response.length  # None where the length is not announced
    while left is None or left > 0:
        chunk = response.read1(_CHUNK_BYTES if left is None else min(left, _CHUNK_BYTES))
        if not chunk:
            break
        left = left - len(chunk) if left is not None else None
        yield chunk
    if left:
        raise http.client.IncompleteRead(b"", left)


def _connect(address: str, port: int, deadline: Deadline) -> socket.socket:
    """A connection to the first of the name's addresses that accepts one. The name's resolution has no deadline."""
    failure: OSError | None = None
    for family, kind, protocol, _, place in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM):
        line = socket.socket(family, kind, protocol)
        try:
            _limit_wait(line, deadline)
            line.connect(place)
            return line
        except OSError as error:
            line.close()
            failure = failure or error
    raise failure or OSError(f"{address} has no address")


def _limit_wait(line: socket.socket, deadline: Deadline) -> None:
    """Set the socket's timeout to what is left of the deadline. Raises socket.timeout when it has passed."""
    left = deadline.left
    if left <= 0:
        raise socket.timeout("timed out")
    line.settimeout(left)


def _authority(address: str, port: int, tls: ssl.SSLContext | None) -> str:
    host = f"[{address}]" if ":" in address else address
    usual = http.client.HTTPS_PORT if tls else http.client.HTTP_PORT
    return host if port == usual else f"{host}:{port}"
