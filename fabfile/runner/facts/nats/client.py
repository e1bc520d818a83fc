"""A small client of NATS: logs in, publishes requests, and reads what comes back, all before one deadline.

Only what questions need of the protocol (INFO, CONNECT, PUB, SUB, PING, PONG, -ERR). What the server sends is limited
in size, so that whatever listens there can fill neither the memory nor the time.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from ...system.deadline import Deadline
from ...system.machine import StepFailed, words

LINE = 64 << 10  # bytes; INFO lists the addresses of a whole cluster in one line
PAYLOAD = 8 << 20  # bytes of one message; a page of 256 consumers has about 150,000
TOTAL = 64 << 20  # bytes of one connection
_TAKEN = 64 << 10  # bytes taken from the socket at once
_DENIALS = ("authorization violation", "permissions violation", "authentication expired", "authentication revoked")


class Unanswered(StepFailed):
    """NATS did not answer, in words that name the server, its address and what to do."""


class Late(Unanswered):
    """NATS did not answer in time."""


class LoginWanted(Unanswered):
    """NATS wants a login, and the client was not given one to show, nor told that there is none."""


class Denied(Unanswered):
    """NATS is there, and does not let this client ask."""


@dataclass(frozen=True)
class Login:
    """What a client shows NATS. `origin` is the file it comes from, or why there is none; it is not secret."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    origin: str = ""

    def options(self) -> dict[str, str]:
        """The fields of CONNECT."""
        given = {"user": self.user, "pass": self.password, "auth_token": self.token}
        return {name: value for name, value in given.items() if value}


class Line(NamedTuple):
    """One line of the server: its verb, and what a message's line says of the message."""

    verb: str
    rest: str = ""
    subject: str = ""
    headers: int = 0  # bytes of `size` that are headers
    size: int = 0  # bytes that follow


class Message(NamedTuple):
    """A message: its subject, the status in its headers (503 when nobody listens on the subject), its payload."""

    subject: str
    status: str
    payload: bytes


def parsed(line: bytes) -> Line:
    """A line without its end. Raises ValueError for one that no server of NATS sends."""
    verb, rest = (*line.decode("utf-8", "replace").strip().split(None, 1), "", "")[:2]
    verb = verb.upper()
    if verb in ("INFO", "-ERR", "+OK", "PING", "PONG"):
        return Line(verb, rest)
    words = rest.split()
    sizes = {"MSG": 1, "HMSG": 2}.get(verb, 0)
    if not sizes or len(words) not in (2 + sizes, 3 + sizes):
        raise ValueError(f"not a line of NATS: {line[:40]!r}")
    numbers = words[-sizes:]
    if not all(number.isascii() and number.isdigit() and len(number) < 12 for number in numbers):
        raise ValueError(f"not a size: {line[:40]!r}")
    size, headers = int(numbers[-1]), int(numbers[0]) if sizes == 2 else 0
    if headers > size:
        raise ValueError(f"more headers than message: {line[:40]!r}")
    return Line(verb, rest, words[0], headers, size)


class Client:
    """A connection to NATS that is logged in, for at most `seconds`. Every method raises Unanswered or Denied.

    `name` is the server in messages, `port_key` the key of the inventory that holds the port. Without `login` it raises
    LoginWanted as soon as NATS says that it wants one.
    """

    def __init__(
        self, name: str, address: str, port: int, port_key: str, seconds: float, login: Login | None = None
    ) -> None:
        self.name = f"{name} at {address}:{port}"
        self._port_key = port_key
        self._login = login or Login()
        self._prepared = login is not None
        self._seconds = seconds
        self._deadline = Deadline(seconds)
        self._buffer = bytearray()
        self._left = TOTAL
        self._numbers = count(2)  # of subscriptions; 1 is the inbox
        self._inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._info: dict[str, Any] = {}
        try:
            self._socket = socket.create_connection((address, port), seconds)
        except OSError as error:
            raise Unanswered(f"{self.name} can't be reached ({words(error)}): {self._is_it_up()}") from None
        try:
            self._log_in()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, questions: Sequence[tuple[str, bytes]]) -> list[Message]:
        """The answers to (subject, payload), in their order; all are asked at once."""
        base = f"{self._inbox}.{secrets.token_hex(4)}"
        lines = [
            f"PUB {self._plain(subject)} {base}.{n} {len(body)}\r\n".encode() + body + b"\r\n"
            for n, (subject, body) in enumerate(questions)
        ]
        self._send(b"".join(lines))
        answers: dict[str, Message] = {}
        while len(answers) < len(questions):
            message = self._message(f"answer {questions[len(answers)][0]}")
            if message.subject.startswith(base + "."):
                answers[message.subject] = message
        return [answers[f"{base}.{n}"] for n in range(len(questions))]

    def hear(self, subjects: Iterable[str], seconds: float) -> set[str]:
        """Of the subjects, those on which somebody publishes within `seconds`; it ends when all were heard."""
        silent, heard = set(subjects), set()
        # A second subscription of the same number would be ignored without a word.
        self._send("".join(f"SUB {self._plain(subject)} {next(self._numbers)}\r\n" for subject in silent).encode())
        with self._within(seconds):
            while silent:
                try:
                    heard.add(self._message("say more").subject)
                except Late:
                    break
                silent -= heard
        return heard & set(subjects)

    @contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """Another deadline for a while; what waiting takes is not taken from the answers' time."""
        former, self._deadline = self._deadline, Deadline(seconds)
        try:
            yield
        finally:
            former.extend(self._deadline.elapsed)
            self._deadline = former

    def _plain(self, subject: str) -> str:
        """A subject as it may stand in a line: a name that a server made up could end it and begin another."""
        if not subject.isascii() or not subject.isprintable() or " " in subject:
            raise Unanswered(f"{self.name} has a name that no subject may hold: {subject[:60]!r}")
        return subject

    def _log_in(self) -> None:
        first = self._line("say who it is")
        if first.verb == "-ERR":
            raise self._refusal(first.rest)
        try:
            self._info = json.loads(first.rest) if first.verb == "INFO" else {}
        except ValueError:
            self._info = {}
        if not isinstance(self._info, dict) or not self._info.get("server_id"):
            raise Unanswered(f"what listens at {self._where()} is no NATS: {self._is_it_up()}")
        if self._info.get("tls_required"):
            raise Denied(
                f"{self.name} accepts only TLS, which this tool does not speak to it: let it accept both "
                "(allow_non_tls), or set infra.nats.monitor_port to the port of its monitoring"
            )
        if self._info.get("auth_required") and not self._prepared:
            raise LoginWanted(f"{self.name} wants a login")
        options = {"verbose": False, "pedantic": False, "lang": "python3", "version": "1", "name": "islandflow-ops"}
        connect = json.dumps({**options, "headers": True, "no_responders": True, **self._login.options()})
        self._send(f"CONNECT {connect}\r\nSUB {self._inbox}.> 1\r\nPING\r\n".encode())
        while self._line("accept the login").verb != "PONG":
            pass

    def _message(self, what: str) -> Message:
        """The next message, whatever else comes between."""
        while True:
            line = self._line(what)
            if line.verb not in ("MSG", "HMSG"):
                continue
            if line.size > PAYLOAD:
                raise Unanswered(f"{self.name} sends {line.size} bytes at once; more than {PAYLOAD} are not read")
            body = self._take(line.size + 2, what)[:-2]
            head = body[: line.headers].split(b"\r\n", 1)[0].decode("ascii", "replace").split()
            return Message(line.subject, head[1] if len(head) > 1 else "", bytes(body[line.headers :]))

    def _line(self, what: str) -> Line:
        """The next line. A PING is answered here, and -ERR is the end."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > LINE:
                raise Unanswered(f"what listens at {self._where()} is no NATS: its line never ends")
            self._fill(what)
        raw = self._take(self._buffer.index(b"\n") + 1, what)
        try:
            line = parsed(raw)
        except ValueError as error:
            raise Unanswered(f"what listens at {self._where()} is no NATS ({error}): {self._is_it_up()}") from None
        if line.verb == "PING":
            self._send(b"PONG\r\n")
        if line.verb == "-ERR" and self._info:
            raise self._refusal(line.rest)
        return line

    def _take(self, count: int, what: str) -> bytes:
        while len(self._buffer) < count:
            self._fill(what)
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _fill(self, what: str) -> None:
        left = self._deadline.left
        if left <= 0:
            raise self._late(what)
        try:
            self._socket.settimeout(left)
            part = self._socket.recv(_TAKEN)
        except socket.timeout:
            raise self._late(what) from None
        except OSError as error:
            raise Unanswered(f"{self.name} did not {what}: {words(error)}") from None
        if not part:
            raise Unanswered(f"{self.name} closed the connection and did not {what}: its log says why")
        self._left -= len(part)
        if self._left < 0:
            raise Unanswered(f"{self.name} sends more than {TOTAL} bytes; that is not read")
        self._buffer += part

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(max(0.001, self._deadline.left))
            self._socket.sendall(data)
        except OSError as error:
            # What it said last says more than that it is gone.
            said = bytes(self._buffer).rpartition(b"-ERR")[2].decode("ascii", "replace") if self._buffer else ""
            raise self._refusal(said) if said else Unanswered(f"{self.name} is gone: {words(error)}") from None

    def _late(self, what: str) -> Late:
        silent = not self._info
        hint = "; one that wants TLS from the first byte does so" if silent else ""
        return Late(f"{self.name} did not {what} within {self._seconds:g} s{hint}: look at its log and its load")

    def _refusal(self, answer: str) -> Unanswered:
        said = answer.strip().strip("'")[:200]
        known = [denial for denial in _DENIALS if denial in said.lower()]
        if not known:
            return Unanswered(f"{self.name} answers {said!r}: its log says more")
        if known == ["permissions violation"]:
            return Denied(
                f"{self.name} does not let the app's user ask JetStream ({said}): allow it to publish $JS.API.> and to "
                "subscribe to _INBOX.>, or set infra.nats.monitor_port to the port of NATS' monitoring"
            )
        if not self._login.options():
            nkeys = "; a key or a JWT is not enough for this tool" if self._info.get("nonce") else ""
            return Denied(
                f"{self.name} wants a login ({said}), and there is none: {self._login.origin}. Write it there, as "
                f"NATS_URL=nats://USER:PASSWORD@HOST:PORT or NATS_URL=nats://TOKEN@HOST:PORT{nkeys}"
            )
        return Denied(f"{self.name} refuses the login ({said}) of NATS_URL in {self._login.origin}: correct it there")

    def _where(self) -> str:
        return self.name.rpartition(" at ")[2]

    def _is_it_up(self) -> str:
        return f"look whether it runs, and whether {self._port_key} is its port"
