"""Repeats are told from failures, by a server that ends connections in every nasty way."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.client import Client, EdgeAddress, Request, Sample
from tests.support.https_server import Authority

PAGE = Request("page", "app.test", "/")
FORM = Request("form", "app.test", "/lookup", "POST", b'{"a": 1}')
GOOD = b"HTTP/1.1 200 OK\r\nX-Islandflow-Runtime: native\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3;x=y\r\nyes\r\n0\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\n\r\nok"

Deed = Callable[["Server", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Does one deed for each request, in order, whatever connection it comes on; notes what it was asked."""

    deeds: list[Deed]
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while not writer.is_closing():
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, OSError):
                break
            if head.startswith(b"POST"):
                head += await reader.readexactly(len(FORM.body))
            self.asked.append(head)
            await self.deeds.pop(0)(self, writer)
        writer.close()


def says(text: bytes, close: bool = False) -> Deed:
    async def deed(server: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        if close:
            writer.close()

    return deed


async def resets(server: Server, writer: asyncio.StreamWriter) -> None:
    """A TCP reset, with nothing said."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hangs(server: Server, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)  # longer than the client waits


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def serving(server: Server, authority: Authority) -> AsyncIterator[EdgeAddress]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate("app.test"))
    async with await asyncio.start_server(server.talk, "127.0.0.1", 0, ssl=context) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield EdgeAddress("127.0.0.1", port, ssl.create_default_context(cafile=str(authority.file)))


def ask(
    authority: Authority, server: Server, *questions: Request, keep: bool = True, limit: float = 30.0
) -> list[Sample]:
    """What one client makes of these questions, one after the other."""

    async def run() -> list[Sample]:
        async with serving(server, authority) as door:
            client = Client(door, keep=keep, limit=limit)
            samples = []
            for question in questions:
                samples.append(await client.send(question))
                await asyncio.sleep(0.1)  # time to notice that the server has closed
            client.close()
            return samples

    return asyncio.run(run())


@pytest.mark.parametrize("answer", [GOOD, CHUNKED])
def test_a_kept_connection_serves_one_request_after_the_other(authority: Authority, answer: bytes) -> None:
    server = Server([says(answer), says(answer), says(answer)])
    samples = ask(authority, server, PAGE, FORM, PAGE)
    assert [(s.failure, s.repeated) for s in samples] == [("", False)] * 3
    assert server.connections == 1
    assert server.asked[1].startswith(b"POST /lookup HTTP/1.1\r\nHost: app.test\r\n")
    assert server.asked[1].endswith(b"\r\n\r\n" + FORM.body)


def test_whoever_keeps_nothing_says_so_and_connects_anew(authority: Authority) -> None:
    server = Server([says(GOOD, close=True), says(UNTIL_CLOSED, close=True)])
    samples = ask(authority, server, PAGE, PAGE, keep=False)
    assert [s.failure for s in samples] == ["", ""]
    assert server.connections == 2 and all(b"Connection: close\r\n" in head for head in server.asked)
    assert samples[0].runtime == "native" and samples[1].runtime == ""


@pytest.mark.parametrize("question", [PAGE, FORM])
@pytest.mark.parametrize("nasty", [says(b"", close=True), resets], ids=["closes", "resets"])
def test_a_reused_connection_that_ends_before_any_byte_is_a_repeat(
    authority: Authority, nasty: Deed, question: Request
) -> None:
    server = Server([says(GOOD), nasty, says(GOOD)])
    samples = ask(authority, server, PAGE, question)
    assert [(s.failure, s.repeated) for s in samples] == [("", False), ("", True)]
    assert server.connections == 2 and server.asked[1] == server.asked[2]


@pytest.mark.parametrize("nasty", [says(b"", close=True), resets], ids=["closes", "resets"])
@pytest.mark.parametrize("keep", [True, False])
def test_a_new_connection_that_ends_before_any_byte_is_a_failure(authority: Authority, nasty: Deed, keep: bool) -> None:
    (sample,) = ask(authority, Server([nasty]), PAGE, keep=keep)
    assert (sample.failure, sample.repeated) == ("closed before any byte of an answer", False)


@pytest.mark.parametrize("nasty", [says(b"", close=True), resets], ids=["closes", "resets"])
def test_a_repeat_is_sent_once(authority: Authority, nasty: Deed) -> None:
    sample = ask(authority, Server([says(GOOD), nasty, nasty]), PAGE, PAGE)[1]
    assert (sample.failure, sample.repeated) == ("closed before any byte of an answer", True)


@pytest.mark.parametrize("part", [b"H", GOOD[:30], GOOD[:-1], CHUNKED[:-9]])
def test_an_answer_that_is_cut_off_is_a_failure_on_a_reused_connection_too(authority: Authority, part: bytes) -> None:
    samples = ask(authority, Server([says(GOOD), says(part, close=True)]), PAGE, PAGE)
    assert (samples[1].failure, samples[1].repeated) == ("cut off in the middle of an answer", False)


def test_a_connection_that_was_closed_while_idle_is_no_repeat(authority: Authority) -> None:
    """The client sees it before it sends: nothing was lost, so there is nothing to repeat."""
    server = Server([says(GOOD, close=True), says(GOOD)])
    samples = ask(authority, server, PAGE, PAGE)
    assert [(s.failure, s.repeated) for s in samples] == [("", False), ("", False)]
    assert server.connections == 2


def test_an_answer_that_says_close_ends_the_connection(authority: Authority) -> None:
    server = Server([says(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")), says(GOOD)])
    assert [s.failure for s in ask(authority, server, PAGE, PAGE)] == ["", ""]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("deed", "failure"),
    [
        (says(GOOD.replace(b"200", b"502")), "answered 502"),
        (says(GOOD.replace(b"200", b"404")), "answered 404"),
        (
            says(GOOD.replace(b"200", b"503\r\nContent-Type: application/json", 1)),
            "answered 503 in JSON: the app's own",
        ),
        (says(b"good morning\r\n\r\n"), "no HTTP: ValueError"),
        (says(CHUNKED.replace(b"\r\n2\r\n", b"\r\nx\r\n")), "no HTTP: ValueError"),
        (hangs, "timeout"),
    ],
)
def test_failures_have_a_kind_and_the_next_request_a_connection_of_its_own(
    authority: Authority, deed: Deed, failure: str
) -> None:
    server = Server([deed, says(GOOD)])
    samples = ask(authority, server, PAGE, PAGE, limit=2.0 if deed is hangs else 30.0)
    assert [s.failure for s in samples] == [failure, ""]
    assert not any(s.repeated for s in samples) and server.connections == 2


def test_nobody_who_listens_and_nobody_who_speaks_tls(authority: Authority) -> None:
    async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def run() -> list[str]:
        async with await asyncio.start_server(closes, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            door = EdgeAddress("127.0.0.1", port, ssl.create_default_context(cafile=str(authority.file)))
            mute = await Client(door, keep=True).send(PAGE)
        return [mute.failure, (await Client(door, keep=True).send(PAGE)).failure]

    mute, deaf = asyncio.run(run())
    assert mute.startswith("no connection: ") and deaf == "no connection: ConnectionRefusedError"


def test_the_wait_of_a_repeat_counts_from_the_first_try(authority: Authority) -> None:
    async def slowly(server: Server, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.close()

    samples = ask(authority, Server([says(GOOD), slowly, says(GOOD)]), PAGE, PAGE)
    assert samples[1].repeated and samples[1].seconds >= 0.2
