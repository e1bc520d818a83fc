"""The lines of NATS' protocol, as a server sends them."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """One line of the server: its verb, and for a message its subject and sizes."""

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


def parse_line(line: bytes) -> Line:
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
