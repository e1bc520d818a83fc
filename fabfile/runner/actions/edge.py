"""Refreshes the edge's DNS on a revert, and probes whether the edge serves."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..edge import probe, server, verify
from ..edge.change import EdgeHost
from ..edge.facts import host_facts
from ..system.machine import Evidence, Machine, Observation, StepFailed
from ..system.polling import GLANCE_SECONDS, Attempt, Poller, failures
from ..wire.codec import wire
from ..wire.edge import EdgeRef
from .base import Action, Inspection, Probe
from .before import Before
from .edge_switch import reload_edge


@wire
@dataclass(frozen=True)
class RefreshDnsOnRevert(Action):
    """Applies nothing; its undo reloads nginx, which resolves its upstreams' names anew.

    nginx caches them for 10 s, and a container that was stopped may start with another's address.
    """

    edge: EdgeRef
    seconds: float

    def inspect(self, machine: Machine) -> Inspection:
        return Inspection("", {})

    def apply(self, machine: Machine, before: Before) -> Evidence:
        return {"why": "only the undo does something"}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return reload_edge(machine, self.edge, self.seconds)

    def describe(self) -> str:
        return "nothing yet; its undo reloads nginx, which resolves the containers' addresses anew"


@wire
@dataclass(frozen=True)
class EdgeServes(Probe):
    """Hostnames answer through the edge: nginx has read files with their upstreams, and these answer.

    Where the app's answers name their runtime, that is checked as well.
    """

    edge: EdgeRef
    hosts: tuple[EdgeHost, ...]

    def check(self, machine: Machine) -> Observation:
        now = time.monotonic()
        return self._check(machine, Poller(probe.TIMEOUT_SECONDS), now, probe.TIMEOUT_SECONDS)

    def until(self, machine: Machine, seconds: float) -> Observation:
        began = time.monotonic()
        poller = Poller(seconds)
        return machine.until(lambda: self._check(machine, poller, began), seconds)

    def _check(self, machine: Machine, poller: Poller, began: float, seconds: float = GLANCE_SECONDS) -> Observation:
        container = server.container(machine, self.edge.container)
        address = container.addresses.get(self.edge.network, "")
        if not address:
            return Observation(
                False, container.problem or f"container {container.name} is not on the network {self.edge.network}"
            )
        try:
            facts = {fact.domain: fact for fact in host_facts(machine, self.edge, container)}
        except StepFailed as error:
            return Observation(False, str(error))
        requests: dict[str, Attempt] = {}
        for host in self.hosts:
            fact = facts[host.domain]
            if fact.closed:  # the public has no such host
                continue
            if fact.stale:
                return Observation(False, f"the running nginx has not read the file of {host.domain}")
            upstream = fact.upstream
            if upstream is not None and (upstream.host, upstream.port) != (host.upstream_host, host.upstream_port):
                return Observation(
                    False, f"{host.domain} has the upstream {upstream}, not {host.upstream_host}:{host.upstream_port}"
                )
            for key, attempt in verify.host_probes(address, fact.tls, host, routes=False).items():
                requests[key] = verify.or_refused(attempt, fact.refusals, fact.refusals, bool(host.expect_header))
        observations = poller.poll(requests, seconds)
        problems = failures(machine, observations, began)
        return Observation(not problems, problems or "the edge serves " + ", ".join(host.domain for host in self.hosts))

    def describe(self) -> str:
        return "answered through the edge: " + ", ".join(host.domain for host in self.hosts)
