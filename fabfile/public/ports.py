"""Ports of the VPS that nobody outside may reach: whoever gets there has gone past the edge."""

from __future__ import annotations

import socket
import time
from typing import Final

from fabfile.public.check import Check

TIMEOUT = 2.0  # seconds: a packet that a firewall drops is never answered

_OPEN: Final = (
    "open to the world, past the edge: listen on the bridge or on 127.0.0.1 only, or close it in the firewall "
    "(ports that Docker publishes pass UFW)"
)


def closed(address: str, name: str, port: int) -> Check:
    """Whether `port` of `address` can't be reached from here. Never raises.

    A connection that is accepted and then hung up is not open either: something stands there with nothing behind it, as
    where Docker publishes a port on which the container's process does not listen.
    """
    started = time.monotonic()
    ok, text = _tried(address, port)
    ms = round((time.monotonic() - started) * 1000)
    return Check(f"port {port} ({name}) is closed", ok, text, ms, vital=False)


def _tried(address: str, port: int) -> tuple[bool, str]:
    try:
        with socket.create_connection((address, port), TIMEOUT) as connection:
            return (False, _OPEN) if _stays(connection) else (True, "hangs up: nothing behind it")
    except TimeoutError:
        return True, f"no answer within {TIMEOUT:g} s"
    except ConnectionRefusedError:
        return True, "refused"
    except ConnectionResetError:
        return True, "hangs up: nothing behind it"
    except OSError as error:
        return True, f"not reached: {error.strerror or error}"


def _stays(connection: socket.socket) -> bool:
    """Whether the other side speaks, or waits for us to."""
    try:
        return bool(connection.recv(1))
    except TimeoutError:
        return True
