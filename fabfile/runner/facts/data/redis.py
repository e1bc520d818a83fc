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
_SAMPLE = 2000  # keys of a database whose remaining time is read, at most
_OUTLASTS = 600_000  # milliseconds that a key must have left to count as one that outlasts a hand-over
_SAFETY = 0.9  # of the keys that a sample says will outlast it, so many must be there: a sample errs
_LIMIT = 1 << 20  # bytes; the answers of these questions are far smaller
_SETTINGS = (
    *("dir", "dbfilename", "appendonly", "appenddirname", "appendfilename"),
    *("maxmemory", "maxmemory-policy", "databases", "notify-keyspace-events"),
)
_PRODUCT = re.compile(r"^(?:server_name|valkey_version|dragonfly_version|executable):.*$", re.MULTILINE)
_FORKS = {"valkey": "Valkey", "keydb": "KeyDB", "dragonfly": "Dragonfly"}

Reply = Union[str, list["Reply"], None]


class RedisError(Exception):
    """Redis answered with an error, or not as Redis does; the text is its own."""


class Refused(RedisError):
    """It answered a command with an error."""


class LoginRefused(Refused):
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
        """Keys by database. Those that expire soon may be gone after a hand-over without being lost."""
        counts = {}
        for name, keys, expires in re.findall(r"(db\d+):keys=(\d+),expires=(\d+)", self._text("INFO", "keyspace")):
            expiring = int(expires)
            lasting = int(keys) - expiring + (self._outlasting(name[2:], expiring) if expiring else 0)
            counts[name] = Count(int(keys), lasting, may_vanish=True)
        return counts

    def _outlasting(self, database: str, expiring: int) -> int:
        """How many of a database's expiring keys outlast a hand-over, rather too few; 0 where that can't be read."""
        try:
            self.call("SELECT", database)
            left, complete = self._remaining_times()
        except RedisError:
            return 0
        times = [time for time in left if time >= 0]  # -1: it never expires; -2: it has by now
        long = sum(time > _OUTLASTS for time in times)
        return long if complete else int(expiring * _SAFETY * long / max(1, len(times)))

    def _remaining_times(self) -> tuple[list[int], bool]:
        """PTTL of up to `_SAMPLE` keys of the database that is selected, and whether these are all."""
        left: dict[str, int] = {}
        cursor = "0"
        while len(left) < _SAMPLE:
            reply = self.call("SCAN", cursor, "COUNT", "500")
            if not (isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], list)):
                raise RedisError("does not answer SCAN as Redis does")
            cursor, names = str(reply[0]), [str(name) for name in reply[1]]
            times = self._calls([("PTTL", name) for name in names])
            left.update({name: int(time) for name, time in zip(names, times) if isinstance(time, str) and _whole(time)})
            if cursor == "0":
                return list(left.values()), True
        return list(left.values()), False

    def persistence(self) -> dict[str, str]:
        """What it says of loading and saving. Raises RedisError while it is still loading: it holds less than it will.

        Of INFO's many lines only those that a hand-over is judged by, by their names there.
        """
        lines = dict(re.findall(r"^(\w+):([^\r\n]*)", self._text("INFO", "persistence"), re.MULTILINE))
        if lines.get("loading", "0") != "0" or lines.get("async_loading", "0") != "0":
            raise RedisError("is still loading its data")
        return {name: lines[name] for name in ("aof_enabled", "aof_last_write_status") if name in lines}

    def product(self) -> str:
        """Redis, or the name of the fork that it is."""
        return product_in("".join(_PRODUCT.findall(self._text("INFO", "server"))))

    def used_bytes(self) -> int:
        """The memory that its data takes; 0 where it does not say so."""
        found = re.search(r"^used_memory:(\d{1,18})\r?$", self._text("INFO", "memory"), re.MULTILINE)
        return int(found[1]) if found else 0

    def settings(self) -> dict[str, str]:
        """What decides about persistence, and what an app may depend on.

        Where CONFIG is forbidden or renamed it raises RedisError.
        """
        settings: dict[str, str] = {}
        for reply in self._calls([("CONFIG", "GET", name) for name in _SETTINGS]):  # several at once are Redis 7's
            pairs = [str(word) for word in reply or []]
            settings.update(zip(pairs[::2], pairs[1::2]))
        return settings

    def _text(self, *words: str) -> str:
        answer = self.call(*words)
        if not isinstance(answer, str):
            raise RedisError(f"answers {' '.join(words)} with something else than text")
        return answer

    def call(self, *words: str) -> Reply:
        """The reply to one command."""
        return self._calls([words])[0]

    def _calls(self, commands: Sequence[Sequence[str]]) -> list[Reply]:
        """The replies to several commands that are sent at once, so that they cost one round trip.

        All are read before the first error is raised: the next command must not get an answer of these.
        """
        self._socket.settimeout(self._left())
        self._socket.sendall(b"".join(map(_command, commands)))
        replies: list[Reply] = []
        errors: list[Refused] = []
        for _ in commands:
            try:
                replies.append(self._reply())
            except Refused as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return replies

    def _reply(self) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:].decode(errors="replace")
        if kind == b"-":
            raise (LoginRefused if _about_login(rest) else Refused)(f"answers {rest[:200]}")
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


def product_in(text: str) -> str:
    """Redis, or the fork that a text names: what a server says of itself, its program, its image."""
    lower = text.lower()
    return next((fork for name, fork in _FORKS.items() if name in lower), "Redis")


def _command(words: Sequence[str]) -> bytes:
    """A command as RESP2 has it."""
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def _whole(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,18}", text) is not None


def not_shared(settings: dict[str, str], folder: str, held: str) -> list[str]:
    """Why the other runtime's Redis, which reads an append-only file in `folder`, would not find what this one holds.

    `held` is where its directory is on the VPS, empty where that is in no directory of the VPS.
    """
    found = []
    if held != folder:
        where = held or "a directory of its container"
        found.append(f"it keeps its data in {where}, and not in {folder}")
    if settings.get("appendonly") == "no" or settings.get("aof_enabled") == "0":
        found.append("it keeps no append-only file (appendonly no), which is all that the other runtime's will read")
    if settings.get("aof_last_write_status", "ok") != "ok":
        found.append("it could not write its append-only file the last time that it tried")
    usual: Sequence[tuple[str, str]] = (("appenddirname", "appendonlydir"), ("appendfilename", "appendonly.aof"))
    found += [
        f"its {name} is {settings[name]!r}, where the other runtime's Redis reads {value}"
        for name, value in usual
        if settings.get(name, value) != value
    ]
    return found


def _about_login(text: str) -> bool:
    words = ("invalid password", "without any password")
    return text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")) or any(part in text for part in words)
