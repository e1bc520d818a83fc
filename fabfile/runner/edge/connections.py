"""Which connections the edge has open to an upstream: what has to end before that upstream may stop.

A request's connection ends with its answer. A websocket's does not, and nothing tells the two apart but their
age and that a websocket has been answered; so what has stood for long enough, and has received something, counts as
a websocket, and is not waited for.
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

UNANSWERED = 5  # so many times as long as others a request may take that has not been answered at all

Crossing = tuple[str, int, int]  # remote address, remote port, the edge's own port


@wire
@dataclass(frozen=True)
class Upstreams:
    """Where a runtime's connections from the edge end: at addresses of the host, or at containers of a project."""

    ports: tuple[int, ...]
    addresses: tuple[str, ...] = ()
    project: str = ""
    services: tuple[str, ...] = ()

    def places(self, machine: Machine) -> set[tuple[str, int]]:
        """Every address and port, as they are now. Raises CommandFailed."""
        found = set(self.addresses)
        if self.project:
            found |= docker.addresses(machine, self.project, self.services)
        return {(address, port) for address in found for port in self.ports}


def crossings(pid: int, places: set[tuple[str, int]]) -> frozenset[Crossing]:
    """The open connections to these places from the network namespace of `pid`."""
    return frozenset(found for found in sockets.connections(pid) if found[:2] in places)


def ended(
    machine: Machine, pid: int, places: set[tuple[str, int]], seconds: float, standing: frozenset[Crossing]
) -> tuple[int, frozenset[Crossing]]:
    """Wait until all connections but the standing ones have ended, or have stood for `seconds` themselves.

    One that has received nothing yet is no websocket, however old: it is waited for `UNANSWERED` times as long.
    Returns how many ended meanwhile, and those that stand in the end. Raises StepFailed.
    """
    first: dict[Crossing, float] = {}
    began = time.monotonic()

    def look() -> Observation:
        now, found = time.monotonic(), crossings(pid, places)
        for crossing in found:
            first.setdefault(crossing, now)
        old = {crossing for crossing in found - standing if now - first[crossing] >= seconds}
        owed = _unanswered(pid) & old if old else set()
        # Where nothing keeps new ones out there is no end to them, but there is one to the patience.
        young = found - standing - old if now - began < 2 * seconds else frozenset()
        left = len(young) + len(owed)
        return Observation(not left, f"{left} requests are under way", {"standing": found})

    seen = machine.wait(look, UNANSWERED * seconds)
    stand = cast("frozenset[Crossing]", seen.data["standing"])
    return len(set(first) - stand), stand


def _unanswered(pid: int) -> set[Crossing]:
    """None, where the kernel does not say what its connections have received: then their age has to do."""

    def look() -> set[Crossing]:
        enter_network(pid)
        return {ends for ends, count in sockets.received().items() if not count}

    # A thread of its own, since it stays in that network.
    with ThreadPoolExecutor(max_workers=1) as pool, contextlib.suppress(OSError):
        return pool.submit(look).result()
    return set()
