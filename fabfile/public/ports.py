"""Checks that ports of the VPS cannot be reached from outside, past the edge."""

from __future__ import annotations

import socket
import time
from typing import Final

from fabfile.public.check import Check

TIMEOUT_SECONDS = 2.0  # a packet that a firewall drops is never answered

_OPEN_MESSAGE: Final = (
    "open to the world, past the edge: listen on the bridge or on 127.0.0.1 only, or close it in the firewall "
    "(ports that Docker publishes pass UFW)"
)


def closed(address: str, name: str, port: int) -> Check:
    """Whether `port` of `address` can't be reached from here. Never raises.

    A connection that is accepted and closed at once counts as closed: nothing serves it, as where Docker publishes a
    port on which the container's process does not listen.
    """
    started = time.monotonic()
    ok, text = _try_connection(address, port)
    ms = round((time.monotonic() - started) * 1000)
    return Check(f"port {port} ({name}) is closed", ok, text, ms, vital=False)


def _try_connection(address: str, port: int) -> tuple[bool, str]:
    try:
        with socket.create_connection((address, port), TIMEOUT_SECONDS) as connection:
            return (False, _OPEN_MESSAGE) if _is_kept_open(connection) else (True, "hangs up: nothing behind it")
    except TimeoutError:
        return True, f"no answer within {TIMEOUT_SECONDS:g} s"
    except ConnectionRefusedError:
        return True, "refused"
    except ConnectionResetError:
        return True, "hangs up: nothing behind it"
    except OSError as error:
        return True, f"not reached: {error.strerror or error}"


def _is_kept_open(connection: socket.socket) -> bool:
    """Whether the other side sends something, or waits for a request."""
    try:
        return bool(connection.recv(1))
    except TimeoutError:
        return True
