"""What a Redis holds, and whether it persists it where the other runtime will read it (Redis' own protocol, RESP2)."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Union

from ...system.deadline import Deadline
from ...wire.data import Count
from ..credentials import Credentials

ANSWER = 5.0  # seconds for one whole look
_LIMIT = 1 << 20  # bytes; the answers of these questions are far smaller
_SETTINGS = ("dir", "dbfilename", "appendonly", "appenddirname", "appendfilename")

Reply = Union[str, list["Reply"], None]


class RedisError(Exception):
    """Redis answered with an error, or not as Redis does; the text is its own."""


class LoginRefused(RedisError):
    """It wants a login, or another one."""


class Redis:
    """A connection to Redis for at most `ANSWER` seconds. Every method raises RedisError or OSError."""

    def __init__(self, address: str, port: int) -> None:
        self._deadline = Deadline(ANSWER)
        self._socket = socket.create_connection((address, port), ANSWER)
        self._buffer = bytearray()

    def __enter__(self) -> Redis:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def log_in(self, login: Credentials) -> None:
        """Log in with what there is of user and password."""
        self.call("AUTH", *([login.user] if login.user else []), login.password)

    def keys(self) -> dict[str, Count]:
        """Keys by database. Those that expire may be gone after a hand-over without being lost."""
        found = {}
        for name, keys, expires in re.findall(r"(db\d+):keys=(\d+),expires=(\d+)", self._text("INFO", "keyspace")):
            found[name] = Count(int(keys), int(keys) - int(expires))
        return found

    def settings(self) -> dict[str, str]:
        """What decides about persistence. Where CONFIG is forbidden or renamed it raises RedisError."""
        found: dict[str, str] = {}
        for name in _SETTINGS:  # several at once are Redis 7's
            answer = self.call("CONFIG", "GET", name)
            pairs = [str(word) for word in answer or []]
            found.update(zip(pairs[::2], pairs[1::2]))
        return found

    def _text(self, *words: str) -> str:
        answer = self.call(*words)
        if not isinstance(answer, str):
            raise RedisError(f"answers {' '.join(words)} with something else than text")
        return answer

    def call(self, *words: str) -> Reply:
        """The reply to one command."""
        parts = [word.encode() for word in words]
        lines = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.settimeout(self._left())
        self._socket.sendall(b"*%d\r\n%s" % (len(parts), lines))
        return self._reply()

    def _reply(self) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:].decode(errors="replace")
        if kind == b"-":
            raise (LoginRefused if _about_login(rest) else RedisError)(f"answers {rest[:200]}")
        if kind in (b"+", b":"):
            return rest
        if kind not in (b"$", b"*") or not re.fullmatch(r"-?\d{1,7}", rest):
            raise RedisError(f"does not answer as Redis does: {line[:40]!r}")
        size = int(rest)
        if size < 0:
            return None
        if kind == b"*":
            return [self._reply() for _ in range(size)]
        return self._take(size + 2)[:-2].decode(errors="replace")

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill()
        return self._take(self._buffer.index(b"\r\n") + 2)[:-2]

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _fill(self) -> None:
        if len(self._buffer) > _LIMIT:
            raise RedisError("does not answer as Redis does: its answer never ends")
        self._socket.settimeout(self._left())
        part = self._socket.recv(65536)
        if not part:
            raise RedisError("closed the connection without an answer")
        self._buffer += part

    def _left(self) -> float:
        if self._deadline.left <= 0:
            raise socket.timeout(f"no answer within {ANSWER:g} s")
        return self._deadline.left


def not_shared(settings: dict[str, str], folder: str, held: str) -> list[str]:
    """Why the other runtime's Redis, which reads an append-only file in `folder`, would not find what this one holds.

    `held` is where its directory is on the VPS, empty where that is in no directory of the VPS.
    """
    found = []
    if held != folder:
        where = held or "a directory of its container"
        found.append(f"it keeps its data in {where}, and not in {folder}")
    if settings.get("appendonly") == "no":
        found.append("it keeps no append-only file (appendonly no), which is all that the other runtime's will read")
    usual: Sequence[tuple[str, str]] = (("appenddirname", "appendonlydir"), ("appendfilename", "appendonly.aof"))
    found += [
        f"its {name} is {settings[name]!r}, where the other runtime's Redis reads {value}"
        for name, value in usual
        if settings.get(name, value) != value
    ]
    return found


def _about_login(text: str) -> bool:
    return text.startswith(("NOAUTH", "WRONGPASS")) or "invalid password" in text or "without any password" in text
