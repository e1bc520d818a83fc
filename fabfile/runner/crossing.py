"""Which connections the edge has open to an upstream: what has to end before that upstream may stop.

A request's connection ends with its answer. A websocket's does not, and nothing tells the two apart but their
age; so what has stood for long enough counts as a websocket, and is not waited for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Dict, FrozenSet, Set, Tuple

from . import docker, sockets
from .codec import wire
from .machine import Machine, Seen
from .npmserver import EdgeContainer

Crossing = Tuple[str, int, int]  # remote address, remote port, the edge's own port


@wire
@dataclass(frozen=True)
class Upstreams:
    """Where a runtime's connections from the edge end: at addresses of the host, or at containers of a project."""

    ports: Tuple[int, ...]
    addresses: Tuple[str, ...] = ()
    project: str = ""
    services: Tuple[str, ...] = ()

    def places(self, machine: Machine) -> Set[Tuple[str, int]]:
        """Every address and port, as they are now. Raises CommandFailed."""
        found = set(self.addresses)
        if self.project:
            found |= docker.addresses(machine, self.project, self.services)
        return {(address, port) for address in found for port in self.ports}


def crossings(box: EdgeContainer, places: Set[Tuple[str, int]]) -> FrozenSet[Crossing]:
    """The edge's open connections to these places."""
    return frozenset(found for found in sockets.connections(box.pid) if found[:2] in places)


def ended(
    machine: Machine, box: EdgeContainer, upstreams: Upstreams, seconds: float, standing: FrozenSet[Crossing]
) -> Tuple[int, FrozenSet[Crossing]]:
    """Wait until all connections but the standing ones have ended, or have stood for `seconds` themselves.

    Returns how many ended meanwhile, and those that stand in the end. Raises StepFailed.
    """
    places = upstreams.places(machine)
    first: Dict[Crossing, float] = {}

    def look() -> Seen:
        now, found = time.monotonic(), crossings(box, places)
        for crossing in found:
            first.setdefault(crossing, now)
        young = [crossing for crossing in found - standing if now - first[crossing] < seconds]
        return Seen(not young, f"{len(young)} requests are under way", {"standing": found})

    # Where nothing keeps new ones out there is no end to them, but there is one to the patience.
    seen = machine.wait(look, 2 * seconds)
    stand: FrozenSet[Crossing] = seen.data["standing"]
    return len(set(first) - stand), stand
