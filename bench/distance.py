"""Makes a server seem further away: a proxy on 127.0.0.1 delays what passes for half the round-trip time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def delayed(port: int, seconds: float) -> Iterator[int]:
    """A port of 127.0.0.1 that forwards to `port` there, with a round-trip time of `seconds` and no limit of rate."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(_serve(port, seconds / 2), loop).result()
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(port: int, delay: float) -> asyncio.Server:
    async def pair(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * delay)  # the way that a TCP handshake takes
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(asyncio.CancelledError):  # by `_end_all`; asyncio would print it as an error
            await asyncio.gather(_pass(reader, far_writer, delay), _pass(far_reader, writer, delay))

    return await asyncio.start_server(pair, "127.0.0.1", 0)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass on in order, each part `late` seconds after it came; so many parts may be on their way."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def deliver(part: bytes) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # the other side is gone
            if part:
                writer.write(part)
            else:
                writer.close()
        if not part:
            ended.set()

    part = b"?"
    while part:
        try:
            part = await reader.read(65536)
        except OSError:
            part = b""
        loop.call_later(delay, deliver, part)
    await ended.wait()
