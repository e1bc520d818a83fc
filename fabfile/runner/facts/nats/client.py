"""A small client of NATS: logs in, publishes requests, and reads the answers, all before one deadline.

It has only what requests need of the protocol (INFO, CONNECT, PUB, SUB, UNSUB, PING, PONG, -ERR). What the server sends
is limited in size, so that whatever listens there can exhaust neither memory nor time.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ...system.deadline import Deadline
from ...system.machine import StepFailed, os_error_text
from ...wire import shape
from .lines import Line, Message, parse_line

MAX_LINE = 64 << 10  # bytes; INFO lists the addresses of a whole cluster in one line
MAX_PAYLOAD = 8 << 20  # bytes of one message; a page of 256 consumers has about 150,000
MAX_TOTAL = 64 << 20  # bytes of one connection
_RECEIVE_BYTES = 64 << 10  # at once
_MESSAGES = ("MSG", "HMSG")
_DENIALS = ("authorization violation", "permissions violation", "authentication expired", "authentication revoked")


class Unanswered(StepFailed):
    """NATS did not answer, in words that name the server, its address and what to do."""


class TimedOut(Unanswered):
    """NATS did not answer in time."""


class LoginRequired(Unanswered):
    """NATS requires a login, and the client was created without a `login` argument."""


class Denied(Unanswered):
    """NATS is there, and denies this client its requests."""


@dataclass(frozen=True)
class Login:
    """A login to NATS. `origin` is the file it comes from, or why there is none; it is not secret."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    origin: str = ""

    def options(self) -> dict[str, str]:
        """The fields of CONNECT."""
        fields = {"user": self.user, "pass": self.password, "auth_token": self.token}
        return {name: value for name, value in fields.items() if value}


class Client:
    """A connection to NATS that is logged in, for at most `seconds`. Every method raises Unanswered or Denied.

    `name` is the server in messages, `port_key` the key of the inventory that holds the port. Without `login` it raises
    LoginRequired as soon as NATS says that it requires one.
    """

    def __init__(
        self, name: str, address: str, port: int, port_key: str, seconds: float, login: Login | None = None
    ) -> None:
        self.name = f"{name} at {address}:{port}"
        self._port_key = port_key
        self._login = login or Login()
        self._login_known = login is not None
        self._seconds = seconds
        self._deadline = Deadline(seconds)
        self._buffer = bytearray()
        self._left = MAX_TOTAL
        self._subscription_ids = count(2)  # 1 is the inbox
        self._inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._published: set[str] = set()  # subjects of messages other than answers
        self._info: dict[str, Any] = {}
        try:
            self._socket = socket.create_connection((address, port), seconds)
        except OSError as error:
            raise Unanswered(f"{self.name} can't be reached ({os_error_text(error)}): {self._hint()}") from None
        try:
            self._log_in()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def request(self, requests: Sequence[tuple[str, bytes]]) -> list[Message]:
        """The answers to (subject, payload), in their order; all requests are sent at once."""
        base = f"{self._inbox}.{secrets.token_hex(4)}"
        lines = [
            f"PUB {self._checked(subject)} {base}.{n} {len(body)}\r\n".encode() + body + b"\r\n"
            for n, (subject, body) in enumerate(requests)
        ]
        self._send(b"".join(lines))
        answers: dict[str, Message] = {}
        while len(answers) < len(requests):
            message = self._message(f"answer {requests[len(answers)][0]}")
            if message.subject.startswith(base + "."):
                answers[message.subject] = message
            else:
                self._published.add(message.subject)
        return [answers[f"{base}.{n}"] for n in range(len(requests))]

    def subscribe(self, subjects: Iterable[str]) -> None:
        """Have the next message of each subject sent; of those that the login may not subscribe to none ever comes."""
        for subject in subjects:
            number = next(self._subscription_ids)  # NATS silently ignores a second subscription of the same number
            self._send(f"SUB {self._checked(subject)} {number}\r\nUNSUB {number} 1\r\n".encode())
        self._send(b"PING\r\n")
        while True:
            try:
                line = self._line("answer PING")
            except Denied:  # an error for each of those subjects
                continue
            if line.verb == "PONG":
                return
            if line.verb in _MESSAGES:
                self._published.add(self._body(line, "send a message").subject)

    def published(self, subjects: Collection[str], seconds: float) -> set[str]:
        """Those of the subscribed subjects on which somebody has published; waits for all at most `seconds`."""
        with self.within(seconds):
            while not self._published.issuperset(subjects):
                try:
                    self._published.add(self._message("send a message").subject)
                except TimedOut:
                    break
        return self._published.intersection(subjects)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Another deadline for a while; the time that passes is added to the answers' own deadline."""
        former, self._deadline = self._deadline, Deadline(seconds)
        try:
            yield
        finally:
            former.extend(self._deadline.elapsed)
            self._deadline = former

    def _checked(self, subject: str) -> str:
        """The subject, if it may stand in a line: a name from a server could end the line and begin another."""
        if not subject.isascii() or not subject.isprintable() or " " in subject:
            raise Unanswered(f"{self.name} has a name that no subject may hold: {subject[:60]!r}")
        return subject

    def _log_in(self) -> None:
        greeting = self._line("send its INFO")
        if greeting.verb == "-ERR":
            raise self._error(greeting.rest)
        try:
            self._info = shape.parse(greeting.rest) if greeting.verb == "INFO" else {}
        except ValueError:
            self._info = {}
        if not isinstance(self._info, dict) or not self._info.get("server_id"):
            raise Unanswered(f"what listens at {self._address()} is no NATS: {self._hint()}")
        if self._info.get("tls_required"):
            raise Denied(
                f"{self.name} accepts only TLS, which this tool does not use with NATS: let it accept both "
                "(allow_non_tls), or set infra.nats.monitor_port to the port of its monitoring"
            )
        if self._info.get("auth_required") and not self._login_known:
            raise LoginRequired(f"{self.name} requires a login")
        options = {"verbose": False, "pedantic": False, "lang": "python3", "version": "1", "name": "islandflow-ops"}
        connect = json.dumps({**options, "headers": True, "no_responders": True, **self._login.options()})
        self._send(f"CONNECT {connect}\r\nSUB {self._inbox}.> 1\r\nPING\r\n".encode())
        while self._line("accept the login").verb != "PONG":
            pass

    def _message(self, what: str) -> Message:
        """The next message; other lines before it are skipped."""
        while True:
            line = self._line(what)
            if line.verb in _MESSAGES:
                return self._body(line, what)

    def _body(self, line: Line, what: str) -> Message:
        """The message that a line announces."""
        if line.size > MAX_PAYLOAD:
            raise Unanswered(f"{self.name} sends {line.size} bytes at once; more than {MAX_PAYLOAD} are not read")
        body = self._read(line.size + 2, what)[:-2]
        head = body[: line.headers].split(b"\r\n", 1)[0].decode("ascii", "replace").split()
        return Message(line.subject, head[1] if len(head) > 1 else "", bytes(body[line.headers :]))

    def _line(self, what: str) -> Line:
        """The next line. A PING is answered here, and -ERR is the end."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_LINE:
                raise Unanswered(f"what listens at {self._address()} is no NATS: its line never ends")
            self._receive(what)
        raw = self._read(self._buffer.index(b"\n") + 1, what)
        try:
            line = parse_line(raw)
        except ValueError as error:
            raise Unanswered(f"what listens at {self._address()} is no NATS ({error}): {self._hint()}") from None
        if line.verb == "PING":
            self._send(b"PONG\r\n")
        if line.verb == "-ERR" and self._info:
            raise self._error(line.rest)
        return line

    def _read(self, count: int, what: str) -> bytes:
        while len(self._buffer) < count:
            self._receive(what)
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _receive(self, what: str) -> None:
        left = self._deadline.left
        if left <= 0:
            raise self._timed_out(what)
        try:
            self._socket.settimeout(left)
            part = self._socket.recv(_RECEIVE_BYTES)
        except socket.timeout:
            raise self._timed_out(what) from None
        except OSError as error:
            raise Unanswered(f"{self.name} did not {what}: {os_error_text(error)}") from None
        if not part:
            raise Unanswered(f"{self.name} closed the connection and did not {what}: its log says why")
        self._left -= len(part)
        if self._left < 0:
            raise Unanswered(f"{self.name} sends more than {MAX_TOTAL} bytes; that is not read")
        self._buffer += part

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(max(0.001, self._deadline.left))
            self._socket.sendall(data)
        except OSError as error:
            # The server's last error says more than the failed write.
            text = bytes(self._buffer).rpartition(b"-ERR")[2].decode("ascii", "replace") if self._buffer else ""
            raise self._error(text) if text else Unanswered(f"{self.name} is gone: {os_error_text(error)}") from None

    def _timed_out(self, what: str) -> TimedOut:
        silent = not self._info
        hint = "; a server that expects TLS from the first byte does so" if silent else ""
        return TimedOut(f"{self.name} did not {what} within {self._seconds:g} s{hint}: check its log and its load")

    def _error(self, answer: str) -> Unanswered:
        text = answer.strip().strip("'")[:200]
        denials = [denial for denial in _DENIALS if denial in text.lower()]
        if not denials:
            return Unanswered(f"{self.name} answers {text!r}: its log says more")
        if denials == ["permissions violation"]:
            return Denied(
                f"{self.name} denies the app's user JetStream's API ({text}): allow it to publish $JS.API.> and to "
                "subscribe to _INBOX.>, or set infra.nats.monitor_port to the port of NATS' monitoring"
            )
        if not self._login.options():
            nkeys = "; a key or a JWT is not enough for this tool" if self._info.get("nonce") else ""
            return Denied(
                f"{self.name} wants a login ({text}), and there is none: {self._login.origin}. Write it there, as "
                f"NATS_URL=nats://USER:PASSWORD@HOST:PORT or NATS_URL=nats://TOKEN@HOST:PORT{nkeys}"
            )
        return Denied(f"{self.name} refuses the login ({text}) of NATS_URL in {self._login.origin}: correct it there")

    def _address(self) -> str:
        return self.name.rpartition(" at ")[2]

    def _hint(self) -> str:
        return f"check whether it runs, and whether {self._port_key} is its port"
