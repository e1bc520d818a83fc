"""Probes each kind of server by its own protocol; every probe has a time limit and never raises."""

from __future__ import annotations

import socket

from ..system import http
from ..system.machine import Observation
from ..wire.app import Environment
from .credentials import Credentials, credentials
from .data.redis import LoginRefused, Redis, RedisError

TIMEOUT_SECONDS = 10.0  # where the caller names no limit; a busy server answers late
_PING = b"*1\r\n$4\r\nPING\r\n"
_REDIS_URL = "REDIS_URL"


def probe(
    protocol: str,
    address: str,
    port: int,
    path: str = "/",
    timeout: float = TIMEOUT_SECONDS,
    environment: Environment | None = None,
) -> Observation:
    """Whether the server at address:port answers as its protocol should; `slow` in the data means: not in time.

    A Redis that requires a login has to accept the app's, from its `environment`.
    """
    try:
        if protocol == "http":
            return _http(address, port, path, timeout)
        if protocol == "clickhouse":
            return _clickhouse(address, port, timeout)
        if protocol == "redis":
            return _redis(address, port, timeout, environment)
        if protocol == "nats":
            return _line(address, port, b"", (b"INFO {",), timeout)
    except OSError as error:
        data = {"slow": True} if isinstance(error, socket.timeout) else {}
        return Observation(False, f"no answer on {address}:{port}: {error or type(error).__name__}", data)
    return Observation(False, f"unknown protocol {protocol!r}")


def _http(address: str, port: int, path: str, timeout: float) -> Observation:
    answer = http.request(address, port, path, seconds=timeout, body=http.Body.DRAIN)
    data = {"status": answer.status, "headers": {k: v for k, v in answer.headers.items() if k.startswith("x-")}}
    return Observation(200 <= answer.status < 400, f"GET :{port}{path} answers {answer.status}", data)


def _clickhouse(address: str, port: int, timeout: float) -> Observation:
    answer = http.request(address, port, "/ping", seconds=timeout)
    text, status = answer.body.decode(errors="replace").strip(), answer.status
    return Observation(status == 200 and text.startswith("Ok"), f"/ping on :{port} answers {status} {text[:40]!r}")


def _redis(address: str, port: int, timeout: float, environment: Environment | None) -> Observation:
    """Redis answers PING, or that this user may not call it: then it has accepted the user."""
    answer = _line(address, port, _PING, (b"+PONG", b"-NOPERM"), timeout)
    if not answer.data["login"]:
        return answer
    login = credentials(environment, _REDIS_URL) if environment else Credentials(origin=f"{_REDIS_URL} is not read")
    if not login:
        return Observation(False, f":{port} requires a login, and the app has none: {login.origin}")
    try:
        with Redis(address, port) as server:
            server.log_in(login)
    except LoginRefused:
        text = f":{port} refuses the app's login: correct {_REDIS_URL} in {login.origin}, or Redis' own password"
        return Observation(False, text)
    except RedisError as error:
        return Observation(False, f":{port} {error}")
    return Observation(True, f":{port} accepts the app's login")


def _line(address: str, port: int, request: bytes, expected: tuple[bytes, ...], timeout: float) -> Observation:
    with socket.create_connection((address, port), timeout) as connection:
        connection.sendall(request)
        text = connection.recv(512)
    data = {"login": text.startswith(b"-NOAUTH")}
    return Observation(text.startswith(expected), f":{port} answers {text[:40]!r}", data)
