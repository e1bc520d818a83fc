"""What plans ask of the edge besides pointing it somewhere: to look names up anew, and whether it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Tuple

from .. import npmserver
from ..codec import wire
from ..edge import host_facts
from ..facts import EdgeRef
from ..machine import Evidence, Machine, Seen, StepFailed
from ..model import Action, Look, Probe
from ..npmaction import tell
from ..npmchange import EdgeHost


@wire
@dataclass(frozen=True)
class Reread(Action):
    """Does nothing, until it is taken back: then nginx looks its upstreams' names up anew.

    It remembers them for 10 s, and a container that was stopped may come back with another's address.
    """

    edge: EdgeRef
    seconds: float

    def look(self, machine: Machine) -> Look:
        return Look("", {})

    def do(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        return {"why": "nothing has to be done before the way back"}

    def restore(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        return tell(machine, self.edge, self.seconds)

    def describe(self) -> str:
        return "nothing yet; on the way back, have nginx look up the containers' addresses anew"


@wire
@dataclass(frozen=True)
class EdgeServes(Probe):
    """Hostnames answer through the edge, from the runtime that their header names."""

    edge: EdgeRef
    hosts: Tuple[EdgeHost, ...]

    def look(self, machine: Machine) -> Seen:
        box = npmserver.container(machine, self.edge.container)
        address = box.addresses.get(self.edge.network, "")
        if not address:
            return Seen(False, box.problem or f"container {box.name} is not on the network {self.edge.network}")
        try:
            facts = {fact.domain: fact for fact in host_facts(machine, self.edge, 0.0)}
        except StepFailed as error:
            return Seen(False, str(error))
        for host in self.hosts:
            fact = facts[host.domain]
            if fact.closed:  # the public has no such host
                continue
            seen = npmserver.served(address, fact.tls, host.domain, host.probe_path, host.expect_header)
            if not seen.ok:
                return seen
        return Seen(True, "the edge serves " + ", ".join(host.domain for host in self.hosts))

    def describe(self) -> str:
        return "answered through the edge: " + ", ".join(host.domain for host in self.hosts)
