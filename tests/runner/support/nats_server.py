"""A strict stand-in for NATS with JetStream: it refuses what the real one refuses, in its words (2.9 and 2.10)."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fabfile.runner.wire.app import Environment, NatsRef, StreamsRef
from fabfile.terms import Runtime
from tests.runner.support.servers import serving

JSON = dict[str, Any]
FETCH = "$JS.API.CONSUMER.MSG.NEXT."


def consumer(name: str = "api-alerts", pending: int = 3, *, pull: bool = False, **more: Any) -> JSON:
    """A durable as NATS tells it, some parts left out; nobody is subscribed unless told."""
    return {
        "stream_name": "ALERTS",
        "name": name,
        "created": "2026-01-01T00:00:00Z",
        "config": {
            "durable_name": name,
            "ack_policy": "explicit",
            **({} if pull else {"deliver_subject": f"to.{name}"}),
        },
        "delivered": {"consumer_seq": 24, "stream_seq": 23, "last_active": "2026-01-01T00:00:01Z"},
        "ack_floor": {"consumer_seq": 20, "stream_seq": 19},
        "num_ack_pending": 4,
        "num_redelivered": 1,
        "num_waiting": 0,
        "num_pending": pending,
        **more,
    }


def ephemeral(name: str = "Xy12") -> JSON:
    """A consumer that goes with who made it."""
    made = consumer(name, push_bound=True)
    return {**made, "config": {"ack_policy": "none", "deliver_subject": "to.somebody"}}


def stream(name: str = "ALERTS", last: int = 26) -> JSON:
    """A stream as NATS tells it, some parts left out."""
    return {
        "config": {"name": name, "subjects": ["alerts"], "max_age": 43_200_000_000_000, "max_bytes": 268_435_456},
        "created": "2026-01-01T00:00:00Z",
        "state": {"messages": 25, "bytes": 9000, "first_seq": 2, "last_seq": last},
    }


def monitoring(*consumers: JSON, **more: Any) -> JSON:
    """What /jsz says of one stream with streams, consumers and their configuration."""
    told = {**stream(**more), "name": more.get("name", "ALERTS"), "consumer_detail": list(consumers)}
    return {"account_details": [{"name": "$G", "stream_detail": [told]}]}


@dataclass
class Nats:
    """A server with streams and their consumers; every look at them is as they are then."""

    streams: dict[str, list[JSON]] = field(default_factory=lambda: {"ALERTS": [consumer()]})
    login: JSON = field(default_factory=dict)  # what CONNECT must hold
    info: JSON = field(default_factory=dict)  # what INFO holds besides
    denied: tuple[str, ...] = ()  # beginnings of subjects that may be neither published nor subscribed to
    page: int = 256
    fetched: tuple[str, ...] = ()  # "STREAM.durable" from which somebody fetches once in a while
    fetches: Callable[[], float] = lambda: 0.05  # seconds until the next time
    error: JSON = field(default_factory=dict)  # every answer of JetStream's API
    silent: bool = False  # nobody is subscribed to JetStream's API
    answer: Callable[[str], bytes | None] = lambda subject: None  # what is sent instead, as it is
    asked: list[str] = field(default_factory=list)  # subjects of all requests
    connected: int = 0
    refused: int = 0

    def talk(self, line: socket.socket) -> None:
        """One client."""
        self.connected += 1
        _Session(self, line).talk()

    def listed(self, subject: str, offset: int) -> JSON:
        """JetStream's answer to a request."""
        key, items = "streams", [stream(name) for name in sorted(self.streams)]
        if subject.startswith("$JS.API.CONSUMER.LIST."):
            key, items = "consumers", self.streams[subject.rpartition(".")[2]]
        head = {"total": len(items), "offset": offset, "limit": self.page}
        if self.error:
            return {"type": "x", "error": self.error, **head, "total": 0}
        return {"type": "x", **head, key: items[offset : offset + self.page]}


class _Session:
    def __init__(self, server: Nats, line: socket.socket) -> None:
        self.server, self.line, self.file = server, line, line.makefile("rb")
        self.subscribed: dict[str, str] = {}
        self.unheard: list[str] = []  # numbers of subscriptions that were denied

    def talk(self) -> None:
        info = {"server_id": "N1", "version": "2.10.7", "headers": True, "max_payload": 1 << 20}
        if self.server.login:
            info["auth_required"] = True
        self.send(f"INFO {json.dumps({**info, **self.server.info})} ")
        verb, _, rest = self.read()
        if not verb:
            return None
        if verb != "CONNECT":
            return self.send("-ERR 'Authorization Violation'")
        told = json.loads(rest)
        if {name: told.get(name) for name in self.server.login} != self.server.login:
            self.server.refused += 1
            return self.send("-ERR 'Authorization Violation'")
        assert told["verbose"] is False and told["headers"] is True and told["no_responders"] is True
        self.send("PING")
        while True:
            verb, _, rest = self.read()
            if not verb:
                return None
            verbs: dict[str, Callable[[str], None]] = {
                "SUB": self.sub,
                "UNSUB": self.unsub,
                "PUB": self.pub,
                "PING": self.ping,
            }
            handle = verbs.get(verb, (lambda rest: None) if verb == "PONG" else None)
            if handle is None:
                return self.send("-ERR 'Unknown Protocol Operation'")
            handle(rest)

    def read(self) -> tuple[str, str, str]:
        return self.file.readline().decode().strip().partition(" ")

    def send(self, *lines: str) -> None:
        self.line.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def ping(self, rest: str) -> None:
        self.send("PONG")

    def sub(self, rest: str) -> None:
        subject, sid = rest.split()
        if subject.startswith(self.server.denied or ("\0",)):
            self.unheard.append(sid)
            return self.send(f"-ERR 'Permissions Violation for Subscription to \"{subject}\"'")
        if sid in self.subscribed.values():  # as the real one does, without a word
            return None
        self.subscribed[subject] = sid
        if subject.removeprefix(FETCH) in self.server.fetched:
            later = threading.Timer(self.server.fetches(), self.message, (subject, b'{"no_wait":true}'))
            later.daemon = True
            later.start()
        return None

    def unsub(self, rest: str) -> None:
        sid, most = rest.split()
        assert sid in {*self.subscribed.values(), *self.unheard} and most == "1", "it ends after one message"

    def pub(self, rest: str) -> None:
        subject, reply, size = rest.split()
        body = self.file.read(int(size) + 2)
        assert body.endswith(b"\r\n"), body
        self.server.asked.append(subject)
        if subject.startswith(self.server.denied or ("\0",)):
            return self.send(f"-ERR 'Permissions Violation for Publish to \"{subject}\"'")
        assert subject == "$JS.API.STREAM.LIST" or subject.startswith("$JS.API.CONSUMER.LIST."), subject
        request = json.loads(body)
        assert set(request) <= {"offset", "limit"}
        instead = self.server.answer(subject)
        if instead is not None:
            return self.line.sendall(instead.replace(b"REPLY", reply.encode()))
        if self.server.silent:
            return self.send(f"HMSG {reply} {self.sid(reply)} 16 16", "NATS/1.0 503", "", "")
        return self.message(reply, json.dumps(self.server.listed(subject, request.get("offset", 0))).encode())

    def message(self, subject: str, body: bytes) -> None:
        self.line.sendall(f"MSG {subject} {self.sid(subject)} {len(body)}\r\n".encode() + body + b"\r\n")

    def sid(self, subject: str) -> str:
        """The subscription that a subject belongs to; what nobody subscribed to is not sent."""
        for wanted, sid in self.subscribed.items():
            if subject == wanted or (wanted.endswith(".>") and subject.startswith(wanted[:-1])):
                return sid
        raise AssertionError(f"nobody subscribed to {subject}")


def nats_ref(port: int, runtime: Runtime = "native", env: Path | None = None, monitor: int = 0) -> NatsRef:
    """A NATS on this machine; `env` holds its NATS_URL."""
    return NatsRef(port, Environment(runtime, str(env or "/none"), "/none"), monitor)


def streams_ref(owner: Path, port: int = 1, **more: Any) -> StreamsRef:
    """Where the owner's JetStream is, of a project p."""
    sides = {runtime: nats_ref(port, runtime) for runtime in ("native", "docker")}
    return StreamsRef("p", str(owner), sides, **more)


@contextmanager
def running(server: Nats) -> Iterator[NatsRef]:
    """The server while it runs, natively, without a login."""
    with serving(server.talk) as port:
        yield nats_ref(port)
