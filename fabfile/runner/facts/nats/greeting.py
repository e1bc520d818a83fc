"""What NATS says of itself to every client, before any login."""

from __future__ import annotations

import socket

from ...system.deadline import Deadline
from ...wire import shape

_SECONDS = 5.0
_MAX_LINE = 64 << 10  # bytes; INFO lists the addresses of a whole cluster in one line


def max_payload(address: str, port: int) -> int:
    """Bytes of the largest message that it takes; 0 where it does not say so. Never raises."""
    try:
        verb, _, text = _first_line(address, port).partition(b" ")
        size = shape.parse(text)["max_payload"] if verb == b"INFO" else 0
    except (OSError, ValueError, LookupError, TypeError):
        return 0
    return size if isinstance(size, int) else 0


def _first_line(address: str, port: int) -> bytes:
    """Raises OSError."""
    deadline, line = Deadline(_SECONDS), b""
    with socket.create_connection((address, port), _SECONDS) as connection:
        while b"\n" not in line and len(line) < _MAX_LINE and not deadline.passed:
            connection.settimeout(max(0.001, deadline.left))
            part = connection.recv(4096)
            if not part:
                break
            line += part
    return line.partition(b"\n")[0]
