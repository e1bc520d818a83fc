"""A Redis that answers what the proof of a hand-over asks, in RESP2."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Redis:
    """Databases with (keys, expiring ones), settings, and a password that it may want.

    Its expiring keys have `left` milliseconds, each in turn one of these.
    """

    databases: dict[int, tuple[int, int]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    login: tuple[str, ...] = ()  # what AUTH must say
    forbidden: tuple[str, ...] = ()  # commands that it does not know, as after rename-command
    raw: Callable[[list[str]], bytes | None] = lambda words: None  # what is sent instead, as it is
    asked: list[list[str]] = field(default_factory=list)
    left: tuple[int, ...] = (30_000,)
    persistence: dict[str, str] = field(default_factory=lambda: {"loading": "0", "aof_enabled": "1"})
    selected: int = 0
    server: dict[str, str] = field(default_factory=lambda: {"redis_version": "7.2.4"})
    used: int = 0

    def talk(self, line: socket.socket) -> None:
        """One client."""
        logged_in, file = not self.login, line.makefile("rb")
        while head := file.readline():
            words = []
            for _ in range(int(head[1:])):
                size = int(file.readline()[1:])
                words.append(file.read(size + 2)[:-2].decode())
            self.asked.append(words)
            said = self.raw(words)
            if said is None and words[0] == "AUTH":
                logged_in = tuple(words[1:]) == self.login
                said = b"+OK\r\n" if logged_in else b"-WRONGPASS invalid username-password pair\r\n"
            elif said is None:
                said = self.answer(words) if logged_in else b"-NOAUTH Authentication required.\r\n"
            line.sendall(said)

    def answer(self, words: list[str]) -> bytes:
        """The reply to a command of somebody who may ask."""
        command, selected = words[0], self.selected
        if command == "PING":
            return b"+PONG\r\n"
        if command in self.forbidden:
            return f"-ERR unknown command '{command}'\r\n".encode()
        if words == ["INFO", "keyspace"]:
            lines = [f"db{number}:keys={keys},expires={e},avg_ttl=0" for number, (keys, e) in self.databases.items()]
            return bulk("\r\n".join(["# Keyspace", *lines, ""]))
        if words == ["INFO", "persistence"]:
            return bulk(
                "\r\n".join(["# Persistence", *(f"{key}:{text}" for key, text in self.persistence.items()), ""])
            )
        if words == ["INFO", "server"]:
            return bulk("# Server\r\n" + "".join(f"{key}:{text}\r\n" for key, text in self.server.items()))
        if words == ["INFO", "memory"]:
            return bulk(f"# Memory\r\nused_memory:{self.used}\r\nused_memory_rss:1\r\n")
        if command == "SELECT":
            self.selected = int(words[1])
            return b"+OK\r\n"
        if command == "SCAN":
            keys, first = self.databases[selected][0], int(words[1])
            after = min(keys, first + int(words[3]))
            names = "".join(bulk(f"key:{number}").decode() for number in range(first, after)).encode()
            return b"*2\r\n" + bulk(str(after if after < keys else 0)) + b"*%d\r\n" % (after - first) + names
        if command == "PTTL":
            number, (_, expiring) = int(words[1].partition(":")[2]), self.databases[selected]
            return b":%d\r\n" % (self.left[number % len(self.left)] if number < expiring else -1)
        name = words[2]
        pair = [name, self.settings[name]] if name in self.settings else []
        return b"*%d\r\n" % len(pair) + b"".join(map(bulk, pair))


def bulk(text: str) -> bytes:
    """A text as RESP2 has it."""
    return b"$%d\r\n%s\r\n" % (len(text.encode()), text.encode())
