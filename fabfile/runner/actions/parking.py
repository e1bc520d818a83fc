"""Opens, drains, releases and closes the parking lot, each with an undo that keeps requests waiting."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass

from .. import parking
from ..edge import server
from ..edge.connections import Connection, Upstreams, await_drained, open_connections
from ..parking import Destinations
from ..system.files import put
from ..system.machine import Evidence, Machine, Observation, StepFailed
from ..wire import shape
from ..wire.codec import wire
from ..wire.edge import EdgeContainer
from .base import Action, Inspection
from .before import Before, text

_ACKNOWLEDGE_SECONDS = 5.0  # the process behind a lot reads its state every 50 ms, unless it is gone
_WEBSOCKETS_FILE = "standing.json"  # in the plan's backups: the websockets that were open before anything was parked


@wire
@dataclass(frozen=True)
class Exit:
    """Where the connections to one port of the lot go on to."""

    port: int
    host: str
    host_port: int


@dataclass(frozen=True)
class _AtLot(Action):
    """What all need: the edge's container, the lot's endpoints, and how long a request may take (seconds)."""

    container: str
    lot: Upstreams
    seconds: float

    def _edge_container(self, machine: Machine) -> EdgeContainer:
        container = server.container(machine, self.container)
        if not container.known:
            raise StepFailed(container.problem)
        return container

    def _await_empty(self, machine: Machine, upstreams: Upstreams) -> int:
        """Wait until no request of the edge's is in flight there; returns how many were."""
        container = self._edge_container(machine)
        if not container.running:
            return 0
        return await_drained(machine, container.pid, upstreams.endpoints(machine), self.seconds, frozenset())[0]

    def _close(self, machine: Machine, unit: str) -> int:
        """Close the lot once the edge has stopped using it; returns how many requests it had to wait for."""
        count = self._await_empty(machine, self.lot)
        parking.close(machine, unit)
        return count


@wire
@dataclass(frozen=True)
class OpenLot(_AtLot):
    """Opens the parking lot, to which the edge sends nothing yet, and records which connections are websockets."""

    leaving: Upstreams

    def inspect(self, machine: Machine) -> Inspection:
        return Inspection("", {"unit": _unit()})

    def apply(self, machine: Machine, before: Before) -> Evidence:
        (address,) = self.lot.addresses
        parking.open_lot(machine, text(before, "unit"), address, self.lot.ports)
        container = self._edge_container(machine)
        endpoints = self.leaving.endpoints(machine)
        open_before = open_connections(container.pid, endpoints)
        # What stays open all this time is no request: no later step waits for it.
        open_after = open_before
        if open_before:
            _, open_after = await_drained(machine, container.pid, endpoints, self.seconds, frozenset())
        websockets = open_before & open_after
        put(machine.backups / _WEBSOCKETS_FILE, json.dumps(sorted(websockets)).encode(), 0o600, "root", "root")
        return {"unit": text(before, "unit"), "websockets": len(websockets)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        lot = parking.current()
        passed = self._close(machine, text(before, "unit"))
        if lot is not None and lot.unit != text(before, "unit"):
            parking.close(machine, lot.unit)  # the undo of CloseLot has opened one of another name
        return {"passed": passed}

    def describe(self) -> str:
        return f"open a parking lot at {_addresses(self.lot)}: requests sent there wait"


@wire
@dataclass(frozen=True)
class Drain(_AtLot):
    """Waits until the runtime that is about to stop has answered its requests; the undo releases the lot to it."""

    leaving: Upstreams
    exits: tuple[Exit, ...]

    def inspect(self, machine: Machine) -> Inspection:
        return Inspection("", {})

    def apply(self, machine: Machine, before: Before) -> Evidence:
        container = self._edge_container(machine)
        endpoints = self.leaving.endpoints(machine)
        answered, remaining = await_drained(machine, container.pid, endpoints, self.seconds, _read_websockets(machine))
        return {"answered": answered, "websockets": len(remaining)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return _release(self.exits) if parking.current() else {"why": "no parking lot is open"}

    def describe(self) -> str:
        return f"wait until its requests are answered, websockets apart (at most {self.seconds:g} s each)"


@wire
@dataclass(frozen=True)
class ReleaseLot(_AtLot):
    """Releases the parked requests to the runtime that is up now; after its undo, requests wait again."""

    exits: tuple[Exit, ...]
    arriving: Upstreams

    def inspect(self, machine: Machine) -> Inspection:
        return Inspection("", {})

    def apply(self, machine: Machine, before: Before) -> Evidence:
        container = self._edge_container(machine)
        parked = len(open_connections(container.pid, self.lot.endpoints(machine))) if container.running else 0
        return {"parked": parked, **_release(self.exits)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        lot = parking.current()
        if lot is None:
            return {"why": "no parking lot is open"}
        token = lot.release({})
        machine.wait(lambda: Observation(lot.has_acknowledged(token), ""), _ACKNOWLEDGE_SECONDS)
        # Requests that waited come from the lot, in this host's own network; later ones, from the edge's.
        endpoints = {(exit.host, exit.host_port) for exit in self.exits}
        passed, _ = await_drained(machine, os.getpid(), endpoints, self.seconds, frozenset())
        return {"passed": passed, "answered": self._await_empty(machine, self.arriving)}

    def describe(self) -> str:
        return "release the parked requests to " + ", ".join(f"{e.host}:{e.host_port}" for e in self.exits)


@wire
@dataclass(frozen=True)
class CloseLot(_AtLot):
    """Closes the parking lot once the edge sends nothing there; its undo opens it again, and requests wait."""

    def inspect(self, machine: Machine) -> Inspection:
        lot = parking.current()
        if lot is None:
            return Inspection("no parking lot is open", {})
        return Inspection("", {"unit": lot.unit, "again": _unit()})

    def apply(self, machine: Machine, before: Before) -> Evidence:
        return {"passed": self._close(machine, text(before, "unit"))}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        if not parking.is_open(machine, text(before, "again")):
            (address,) = self.lot.addresses
            for unit in (text(before, "unit"), text(before, "again")):
                parking.close(machine, unit)  # a socket that is half closed, or half open, would occupy the port
            parking.open_lot(machine, text(before, "again"), address, self.lot.ports)
        return {"unit": text(before, "again")}

    def describe(self) -> str:
        return "close the parking lot"


def _release(exits: tuple[Exit, ...]) -> Evidence:
    lot = parking.current()
    if lot is None:
        raise StepFailed("the parking lot is gone: there is nothing to release")
    destinations: Destinations = {exit.port: (exit.host, exit.host_port) for exit in exits}
    lot.release(destinations)
    return {"exits": [f"{exit.host}:{exit.host_port}" for exit in exits]}


def _read_websockets(machine: Machine) -> frozenset[Connection]:
    websockets = shape.parse((machine.backups / _WEBSOCKETS_FILE).read_text())
    return frozenset((address, port, own) for address, port, own in websockets)


def _unit() -> str:
    # A name of its own each time: a websocket keeps the process behind a closed lot running, and with it the unit.
    return f"islandflow-park-{secrets.token_hex(4)}"


def _addresses(lot: Upstreams) -> str:
    return ", ".join(f"{address}:{port}" for address in lot.addresses for port in lot.ports)
