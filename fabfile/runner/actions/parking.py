"""The parking lot's verbs: open, drained, released, closed; each with the way back that keeps requests waiting."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass

from .. import parking
from ..edge import server
from ..edge.connections import Connection, Upstreams, await_drained, open_connections
from ..parking import Exits
from ..system.files import put
from ..system.machine import Evidence, Machine, Observation, StepFailed
from ..wire.codec import wire
from ..wire.edge import EdgeContainer
from .base import Action, Inspection
from .before import Before, text

_HEARD = 5.0  # seconds; the process behind a lot looks every 50 ms, and one that is gone lets nobody through
_STANDING = "standing.json"  # in the plan's backups: the websockets that stood before anything was parked


@wire
@dataclass(frozen=True)
class Exit:
    """Where the connections to one port of the lot go on to."""

    port: int
    host: str
    host_port: int


@dataclass(frozen=True)
class _AtLot(Action):
    """What all need: the edge's container, the lot's places, and how long a request may take (seconds)."""

    container: str
    lot: Upstreams
    seconds: float

    def _box(self, machine: Machine) -> EdgeContainer:
        box = server.container(machine, self.container)
        if not box.known:
            raise StepFailed(box.problem)
        return box

    def _await_empty(self, machine: Machine, upstreams: Upstreams) -> int:
        """Wait until no request of the edge's is under way there; how many were."""
        box = self._box(machine)
        if not box.running:
            return 0
        return await_drained(machine, box.pid, upstreams.endpoints(machine), self.seconds, frozenset())[0]

    def _close(self, machine: Machine, unit: str) -> int:
        """Close the lot once the edge has stopped using it; how many requests that had to wait for."""
        count = self._await_empty(machine, self.lot)
        parking.close(machine, unit)
        return count


@wire
@dataclass(frozen=True)
class OpenLot(_AtLot):
    """Opens the parking lot, to which nobody is sent yet, and notes which connections are websockets."""

    leaving: Upstreams

    def look(self, machine: Machine) -> Inspection:
        return Inspection("", {"unit": _unit()})

    def apply(self, machine: Machine, before: Before) -> Evidence:
        (address,) = self.lot.addresses
        parking.begin(machine, text(before, "unit"), address, self.lot.ports)
        box = self._box(machine)
        places = self.leaving.endpoints(machine)
        early = open_connections(box.pid, places)
        # Whatever has been open all this time is no request: nobody is made to wait for it later.
        _, late = await_drained(machine, box.pid, places, self.seconds, frozenset()) if early else (0, early)
        standing = early & late
        put(machine.backups / _STANDING, json.dumps(sorted(standing)).encode(), 0o600, "root", "root")
        return {"unit": text(before, "unit"), "websockets": len(standing)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        lot = parking.current()
        passed = self._close(machine, text(before, "unit"))
        if lot is not None and lot.unit != text(before, "unit"):
            parking.close(machine, lot.unit)  # CloseLot, undone, has opened one of another name
        return {"passed": passed}

    def describe(self) -> str:
        return f"open a parking lot at {_listed(self.lot)}: who is sent there waits"


@wire
@dataclass(frozen=True)
class Drain(_AtLot):
    """Waits until the runtime that is about to stop has answered what it was asked; undone, it gets the parked."""

    leaving: Upstreams
    exits: tuple[Exit, ...]

    def look(self, machine: Machine) -> Inspection:
        return Inspection("", {})

    def apply(self, machine: Machine, before: Before) -> Evidence:
        box = self._box(machine)
        places = self.leaving.endpoints(machine)
        answered, left = await_drained(machine, box.pid, places, self.seconds, _standing(machine))
        return {"answered": answered, "websockets": len(left)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return _release(self.exits) if parking.current() else {"why": "no parking lot is open"}

    def describe(self) -> str:
        return f"wait until what was asked of it is answered, websockets apart (at most {self.seconds:g} s each)"


@wire
@dataclass(frozen=True)
class ReleaseLot(_AtLot):
    """Lets all that is parked through to the runtime that is up now; undone, all wait again."""

    exits: tuple[Exit, ...]
    arriving: Upstreams

    def look(self, machine: Machine) -> Inspection:
        return Inspection("", {})

    def apply(self, machine: Machine, before: Before) -> Evidence:
        box = self._box(machine)
        parked = len(open_connections(box.pid, self.lot.endpoints(machine))) if box.running else 0
        return {"parked": parked, **_release(self.exits)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        lot = parking.current()
        if lot is None:
            return {"why": "no parking lot is open"}
        turn = lot.release({})
        machine.wait(lambda: Observation(lot.has_heard(turn), ""), _HEARD)
        # Who waited comes from the lot, in this host's own network; who came later, from the edge's.
        places = {(exit.host, exit.host_port) for exit in self.exits}
        passed, _ = await_drained(machine, os.getpid(), places, self.seconds, frozenset())
        return {"passed": passed, "answered": self._await_empty(machine, self.arriving)}

    def describe(self) -> str:
        return "let the parked requests through to " + ", ".join(f"{e.host}:{e.host_port}" for e in self.exits)


@wire
@dataclass(frozen=True)
class CloseLot(_AtLot):
    """Closes the parking lot once nobody is sent there any more; undone, it is opened again and all wait."""

    def look(self, machine: Machine) -> Inspection:
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
                parking.close(machine, unit)  # a socket that is half closed, or half open, would keep the port
            parking.begin(machine, text(before, "again"), address, self.lot.ports)
        return {"unit": text(before, "again")}

    def describe(self) -> str:
        return "close the parking lot"


def _release(exits: tuple[Exit, ...]) -> Evidence:
    lot = parking.current()
    if lot is None:
        raise StepFailed("the parking lot is gone: nobody can be let through")
    places: Exits = {exit.port: (exit.host, exit.host_port) for exit in exits}
    lot.release(places)
    return {"exits": [f"{exit.host}:{exit.host_port}" for exit in exits]}


def _standing(machine: Machine) -> frozenset[Connection]:
    found = json.loads((machine.backups / _STANDING).read_text())
    return frozenset((address, port, own) for address, port, own in found)


def _unit() -> str:
    # A name of its own each time: a websocket keeps the process behind a closed lot, and with it the name.
    return f"islandflow-park-{secrets.token_hex(4)}"


def _listed(lot: Upstreams) -> str:
    return ", ".join(f"{address}:{port}" for address in lot.addresses for port in lot.ports)
