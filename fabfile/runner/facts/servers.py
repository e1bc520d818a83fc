"""How each kind of server shows that it answers; every look is bounded and never raises."""

from __future__ import annotations

import http.client
import socket
import time

from ..system.machine import Observation

TIMEOUT = 10.0  # seconds, where nobody says how long; a server that has much to do takes some


def answers(protocol: str, address: str, port: int, path: str = "/", timeout: float = TIMEOUT) -> Observation:
    """Whether the server at address:port answers as its protocol should; `slow` in the data: not in time."""
    try:
        if protocol == "http":
            return _http(address, port, path, timeout)
        if protocol == "clickhouse":
            return _clickhouse(address, port, timeout)
        if protocol == "redis":
            return _line(address, port, b"PING\r\n", b"+PONG", timeout)
        if protocol == "nats":
            return _line(address, port, b"", b"INFO {", timeout)
    except (OSError, http.client.HTTPException) as error:
        data = {"slow": True} if isinstance(error, socket.timeout) else {}
        return Observation(False, f"no answer on {address}:{port}: {error or type(error).__name__}", data)
    return Observation(False, f"unknown protocol {protocol!r}")


def get(
    address: str, port: int, path: str, method: str = "GET", timeout: float = TIMEOUT
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body of one plain request. Raises OSError, HTTPException."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request(method, path, headers={"Connection": "close"})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, body_of(response, timeout)
    finally:
        connection.close()


def body_of(response: http.client.HTTPResponse, seconds: float) -> bytes:
    """The whole body, within `seconds`. Raises OSError, HTTPException.

    Each part has the socket's timeout for itself, so an answer that never ends needs one for the whole.
    """
    ends = time.monotonic() + seconds
    parts: list[bytes] = []
    left = response.length  # None where only the end tells
    while left is None or left > 0:
        part = response.read1(left or 65536)
        if not part:
            break
        parts.append(part)
        left = left - len(part) if left is not None else None
        if time.monotonic() > ends:
            raise TimeoutError("the answer never ends")
    if left:
        raise http.client.IncompleteRead(b"".join(parts), left)
    return b"".join(parts)


def _http(address: str, port: int, path: str, timeout: float) -> Observation:
    status, headers, _ = get(address, port, path, timeout=timeout)
    data = {"status": status, "headers": {k: v for k, v in headers.items() if k.startswith("x-")}}
    return Observation(200 <= status < 400, f"GET :{port}{path} answers {status}", data)


def _clickhouse(address: str, port: int, timeout: float) -> Observation:
    status, _, body = get(address, port, "/ping", timeout=timeout)
    said = body.decode(errors="replace").strip()
    return Observation(status == 200 and said.startswith("Ok"), f"/ping on :{port} answers {status} {said[:40]!r}")


def _line(address: str, port: int, ask: bytes, expected: bytes, timeout: float) -> Observation:
    with socket.create_connection((address, port), timeout) as connection:
        connection.sendall(ask)
        said = connection.recv(512)
    return Observation(said.startswith(expected), f":{port} answers {said[:40]!r}")
