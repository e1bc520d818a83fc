"""The websocket: it upgrades, and what the app publishes comes out of it.

With asyncio and not with threads: while one thread reads the session tickets that TLS 1.3 sends after its handshake,
what another one writes is lost at times (6 of 300 connections on a busy machine).
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
from fabfile.public.endpoint import Door
from fabfile.terms import Owner


def live(site: Site, runtime: Owner, door: Door) -> str:
    """The app's websocket upgrades and, where the inventory says so, delivers an event in time. Raises Refused."""
    door.enter()
    return asyncio.run(_live(site, runtime, door))


def upgrade(path: str, door: Door, judge: ssl.SSLContext) -> None:
    """Do no more than upgrade at `path`. Raises Refused when the answer is not 101, WebSocketException, OSError."""

    async def once() -> None:
        async with _upgraded(path, door, judge):
            pass

    asyncio.run(once())


async def _live(site: Site, runtime: Owner, door: Door) -> str:
    public = site.public
    async with _upgraded(public.websocket, door, certificate.context(public)) as opened:
        served = https.by(site, opened.response.headers if opened.response else {}, runtime)
        if public.event_within is None:
            return f"upgrades{served}"
        await _event(public, opened, public.event_within)
        return f"upgrades and delivers{served}"


@contextlib.asynccontextmanager
async def _upgraded(path: str, door: Door, judge: ssl.SSLContext) -> AsyncIterator[ClientConnection]:
    name, port = door.endpoint.name, door.endpoint.port
    authority = name if port == 443 else f"{name}:{port}"
    opening = _Connect(
        f"wss://{authority}{path}",
        sock=socket.create_connection((door.address, port), door.patience),
        ssl=judge,
        server_hostname=name,
        open_timeout=door.patience,
        close_timeout=1,
        proxy=None,
    )
    try:
        opened = await opening
    except InvalidStatus as error:
        code, headers = error.response.status_code, error.response.headers
        answer = https.status(code) if code >= 500 else https.kind(code, headers)
        raise Refused(f"does not upgrade: {answer}") from None
    async with opened:
        yield opened


class _Connect(connect):
    """Takes a redirect for what it is here: an answer that is not 101."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def _event(public: Public, opened: ClientConnection, seconds: float) -> None:
    """Wait for the first message that holds what makes it an event; others are passed over."""
    others = 0
    try:
        async with asyncio.timeout(seconds):
            if public.websocket_hello:
                await opened.send(public.websocket_hello)
            while public.websocket_event not in _text(await opened.recv()):
                others += 1
    except TimeoutError:
        besides = f", only {others} other messages" if others else ""
        raise Refused(f"upgrades, but delivers no event within {seconds:g} s{besides}") from None
    except ConnectionClosed as error:
        raise Refused(f"upgrades, but closes before it delivers an event: {error}") from None


def _text(message: str | bytes) -> str:
    return message if isinstance(message, str) else message.decode(errors="replace")
