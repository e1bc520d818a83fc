"""What plans ask of the edge besides pointing it somewhere: to look names up anew, and whether it serves."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..edge import probe, server, verify
from ..edge.change import EdgeHost
from ..edge.facts import config_read_time, host_facts
from ..system.machine import Evidence, Machine, Observation, StepFailed
from ..system.polling import GLANCE_SECONDS, Attempt, Poller, failures
from ..wire.codec import wire
from ..wire.edge import EdgeRef
from .base import Action, Inspection, Probe
from .before import Before
from .edge_switch import tell


@wire
@dataclass(frozen=True)
class RefreshDnsOnRevert(Action):
    """Does nothing until it is undone: then nginx looks its upstreams' names up anew.

    It remembers them for 10 s, and a container that was stopped may come back with another's address.
    """

    edge: EdgeRef
    seconds: float

    def look(self, machine: Machine) -> Inspection:
        return Inspection("", {})

    def apply(self, machine: Machine, before: Before) -> Evidence:
        return {"why": "nothing has to be done before the way back"}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return tell(machine, self.edge, self.seconds)

    def describe(self) -> str:
        return "nothing yet; on the way back, have nginx look up the containers' addresses anew"


@wire
@dataclass(frozen=True)
class EdgeServes(Probe):
    """Hostnames answer through the edge: nginx has read files that lead to their upstreams, and these answer.

    Where the app's answers name their runtime, that is asked for as well.
    """

    edge: EdgeRef
    hosts: tuple[EdgeHost, ...]

    def look(self, machine: Machine) -> Observation:
        now = time.monotonic()
        return self._look(machine, Poller(probe.TIMEOUT_SECONDS), now, probe.TIMEOUT_SECONDS)

    def until(self, machine: Machine, seconds: float) -> Observation:
        began = time.monotonic()
        poller = Poller(seconds)
        return machine.until(lambda: self._look(machine, poller, began), seconds)

    def _look(self, machine: Machine, poller: Poller, began: float, patience: float = GLANCE_SECONDS) -> Observation:
        box = server.container(machine, self.edge.container)
        address = box.addresses.get(self.edge.network, "")
        if not address:
            return Observation(False, box.problem or f"container {box.name} is not on the network {self.edge.network}")
        try:
            facts = {fact.domain: fact for fact in host_facts(machine, self.edge, config_read_time(box))}
        except StepFailed as error:
            return Observation(False, str(error))
        questions: dict[str, Attempt] = {}
        for host in self.hosts:
            fact = facts[host.domain]
            if fact.closed:  # the public has no such host
                continue
            if fact.stale:
                return Observation(False, f"the running nginx has not read the file of {host.domain}")
            led = fact.upstream
            if led is not None and (led.host, led.port) != (host.upstream_host, host.upstream_port):
                return Observation(
                    False, f"{host.domain} leads to {led}, not to {host.upstream_host}:{host.upstream_port}"
                )
            questions.update(verify.host_probes(address, fact.tls, host, routes=False))
        seen = poller.poll(questions, patience)
        wrong = failures(machine, seen, began)
        return Observation(not wrong, wrong or "the edge serves " + ", ".join(host.domain for host in self.hosts))

    def describe(self) -> str:
        return "answered through the edge: " + ", ".join(host.domain for host in self.hosts)
