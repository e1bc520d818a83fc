"""A Redis that answers what the proof of a hand-over asks, in RESP2."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

BULK = b"$%d\r\n%s\r\n"


@dataclass
class Redis:
    """Databases with (keys, expiring ones), settings, and a password that it may want."""

    databases: dict[int, tuple[int, int]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    login: tuple[str, ...] = ()  # what AUTH must say
    forbidden: tuple[str, ...] = ()  # commands that it does not know, as after rename-command
    raw: Callable[[list[str]], bytes | None] = lambda words: None  # what is sent instead, as it is
    asked: list[list[str]] = field(default_factory=list)

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
        if words[0] in self.forbidden:
            return f"-ERR unknown command '{words[0]}'\r\n".encode()
        if words == ["INFO", "keyspace"]:
            lines = [f"db{number}:keys={keys},expires={e},avg_ttl=0" for number, (keys, e) in self.databases.items()]
            text = "\r\n".join(["# Keyspace", *lines, ""]).encode()
            return BULK % (len(text), text)
        name = words[2]
        pair = [name, self.settings[name]] if name in self.settings else []
        return b"*%d\r\n" % len(pair) + b"".join(BULK % (len(word), word.encode()) for word in pair)
