"""Checks the websocket: that it upgrades, and that it delivers an event of the app.

It uses asyncio and no threads: while one thread reads the session tickets that TLS 1.3 sends after its handshake, what
another one writes is sometimes lost (6 of 300 connections on a busy machine).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fabfile.inventory import Public, Site
from fabfile.public import certificate, https
from fabfile.public.check import Refused
from fabfile.public.endpoint import Target
from fabfile.terms import Owner


def live(site: Site, runtime: Owner, target: Target) -> str:
    """The app's websocket upgrades and, where the inventory says so, delivers an event in time. Raises Refused."""
    target.require()
    return asyncio.run(_live(site, runtime, target))


def upgrade(path: str, target: Target, judge: ssl.SSLContext) -> None:
    """Upgrade at `path` and close. Raises Refused when the answer is not 101, WebSocketException, OSError."""

    async def attempt() -> None:
        async with _upgrade(path, target, judge):
            pass

    asyncio.run(attempt())


async def _live(site: Site, runtime: Owner, target: Target) -> str:
    public = site.public
    async with _upgrade(public.websocket, target, certificate.context(public)) as connection:
        served = https.served_by(site, connection.response.headers if connection.response else {}, runtime)
        if public.event_within is None:
            return f"upgrades{served}"
        await _event(public, connection, public.event_within)
        return f"upgrades and delivers{served}"


@contextlib.asynccontextmanager
async def _upgrade(path: str, target: Target, judge: ssl.SSLContext) -> AsyncIterator[ClientConnection]:
    name, port = target.endpoint.name, target.endpoint.port
    authority = name if port == 443 else f"{name}:{port}"
    connecting = _Connect(
        f"wss://{authority}{path}",
        sock=socket.create_connection((target.address, port), target.patience),
        ssl=judge,
        server_hostname=name,
        open_timeout=target.patience,
        close_timeout=1,
        proxy=None,
    )
    try:
        connection = await connecting
    except InvalidStatus as error:
        code, headers = error.response.status_code, error.response.headers
        answer = https.status(code) if code >= 500 else https.wrong_content(code, headers)
        raise Refused(f"does not upgrade: {answer}", code) from None
    async with connection:
        yield connection


class _Connect(connect):
    """Treats a redirect as an answer that is not 101."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def _event(public: Public, connection: ClientConnection, seconds: float) -> None:
    """Wait for the first message that has `public.websocket_event` in it; others are skipped."""
    skipped = 0
    try:
        async with asyncio.timeout(seconds):
            if public.websocket_hello:
                await connection.send(public.websocket_hello)
            while public.websocket_event not in _text(await connection.recv()):
                skipped += 1
    except TimeoutError:
        detail = f", only {skipped} other messages" if skipped else ""
        raise Refused(f"upgrades, but delivers no event within {seconds:g} s{detail}") from None
    except ConnectionClosed as error:
        raise Refused(f"upgrades, but closes before it delivers an event: {error}") from None


def _text(message: str | bytes) -> str:
    return message if isinstance(message, str) else message.decode(errors="replace")
