"""Connections from the edge to an upstream: those of requests have to end before that upstream may stop.

A request's connection ends with its answer. A websocket's does not, and the two differ in nothing but their age and
that a websocket has received an answer; so a connection that is old enough, and has received something, counts as a
websocket, and is not waited for.
"""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

from ..system import docker, sockets
from ..system.machine import Machine, Observation
from ..wire.codec import wire
from .probe import enter_network

UNANSWERED_FACTOR = 5  # so many times as long as others may a request take that has no answer at all

Connection = tuple[str, int, int]  # remote address, remote port, the edge's own port


@wire
@dataclass(frozen=True)
class Upstreams:
    """Where a runtime accepts the edge's connections: at addresses of the host, or at containers of a project."""

    ports: tuple[int, ...]
    addresses: tuple[str, ...] = ()
    project: str = ""
    services: tuple[str, ...] = ()

    def endpoints(self, machine: Machine) -> set[tuple[str, int]]:
        """Return every address and port, as they are now. Raises CommandFailed."""
        addresses = set(self.addresses)
        if self.project:
            addresses |= docker.addresses(machine, self.project, self.services)
        return {(address, port) for address in addresses for port in self.ports}


def open_connections(pid: int, endpoints: set[tuple[str, int]]) -> frozenset[Connection]:
    """Return the open connections to these endpoints from the network namespace of `pid`."""
    return frozenset(connection for connection in sockets.connections(pid) if connection[:2] in endpoints)


def await_drained(
    machine: Machine, pid: int, endpoints: set[tuple[str, int]], seconds: float, websockets: frozenset[Connection]
) -> tuple[int, frozenset[Connection]]:
    """Wait until every connection but the websockets has ended or is `seconds` old.

    One that has received nothing yet is no websocket, however old: it has `UNANSWERED_FACTOR` times as long.
    Returns how many ended meanwhile, and those that are still open. Raises StepFailed.
    """
    first_seen: dict[Connection, float] = {}
    began = time.monotonic()

    def check() -> Observation:
        now, connections = time.monotonic(), open_connections(pid, endpoints)
        for connection in connections:
            first_seen.setdefault(connection, now)
        old = {connection for connection in connections - websockets if now - first_seen[connection] >= seconds}
        unanswered = _unanswered_connections(pid) & old if old else set()
        # Where nothing keeps new connections out they never end, so the wait for them has a limit.
        young = connections - websockets - old if now - began < 2 * seconds else frozenset()
        count = len(young) + len(unanswered)
        return Observation(not count, f"{count} requests are under way", {"open": connections})

    result = machine.wait(check, UNANSWERED_FACTOR * seconds)
    remaining = cast("frozenset[Connection]", result.data["open"])
    return len(set(first_seen) - remaining), remaining


def _unanswered_connections(pid: int) -> set[Connection]:
    """Return the connections without a received byte; none where the kernel does not count them: then age decides."""

    def read() -> set[Connection]:
        enter_network(pid)
        return {connection for connection, count in sockets.received_bytes().items() if not count}

    # A thread of its own, since it stays in that network.
    with ThreadPoolExecutor(max_workers=1) as pool, contextlib.suppress(OSError):
        return pool.submit(read).result()
    return set()
