"""Changes of the edge: point it to other upstreams, have it answer 503 by itself, back it up, restore a backup."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, replace
from pathlib import Path

from ..edge import backup, server
from ..edge.backup import BEGAN, RELOADED
from ..edge.change import KEEP, EdgeHost, HostChange, planned_change, restoring_change, target_of
from ..edge.maintenance import page, region
from ..facts.gather import gather
from ..system.machine import Evidence, Machine, Observation, StepFailed
from ..system.polling import Attempt, failures, until_good
from ..wire.codec import decode_as, encode, wire
from ..wire.edge import EdgeBackup, EdgeRef, HostFact, Maintenance
from ..wire.facts import Facts, FactsRequest
from .base import Action
from .before import Before, table, text
from .edge_switch import FILES, EdgeAction, saved_as_is, saved_host


@wire
@dataclass(frozen=True)
class PointEdge(EdgeAction):
    """Points hostnames at the given upstreams, in NPM's database, its files and the running nginx."""

    edge: EdgeRef
    hosts: tuple[EdgeHost, ...]
    seconds: float = 15.0  # for the reload, and again for the answers through the edge
    way: str = FILES

    def describe(self) -> str:
        by = "" if self.way == FILES else ", by NPM's API"
        return "point " + ", ".join(str(host) for host in self.hosts) + by

    def targets(self, facts: Facts) -> tuple[EdgeHost, ...]:
        return self.hosts

    def change(self, host: EdgeHost, fact: HostFact, facts: Facts) -> HostChange:
        return planned_change(host, fact, by_npm=self.way != FILES)


@wire
@dataclass(frozen=True)
class MaintainEdge(EdgeAction):
    """Has nginx answer 503 for the hostnames by itself, or, without `maintenance`, send requests on again.

    Only files change: NPM's rows stay as they are, and the files come back byte for byte. A closed host stays closed.
    """

    edge: EdgeRef
    maintenance: Maintenance | None = None
    prefixes: tuple[str, ...] = ()  # of the first hostname; whoever requests them, and the second one, gets JSON
    seconds: float = 15.0  # for the reload, and again for the answers through the edge
    way: str = FILES

    def describe(self) -> str:
        domains = ", ".join(self.edge.domains)
        return f"answer 503 for {domains}" if self.maintenance else f"send requests for {domains} on again"

    def maintenance_problem(self, facts: Facts) -> str:
        return ""

    def targets(self, facts: Facts) -> tuple[EdgeHost, ...]:
        hosts: dict[str, HostFact] = facts.edge.hosts
        for fact in hosts.values():
            if fact.problem or fact.row is None:
                raise StepFailed(fact.problem or f"the edge's facts have no row of {fact.domain}")
        return tuple(
            EdgeHost(domain, fact.row.host, fact.row.port, probe_path="", exposure=KEEP)
            for domain, fact in hosts.items()
            if fact.text and fact.row is not None
        )

    def change(self, host: EdgeHost, fact: HostFact, facts: Facts) -> HostChange:
        assert fact.row is not None, "`targets` has seen to it"
        now = region.joined(fact.text, host.domain, fact.maintenance)
        statements = ""
        if self.maintenance:
            program = host.domain != self.edge.domains[0]
            statements = region.written(self.maintenance, self.prefixes, program)
        then = region.joined(fact.text, host.domain, statements)
        return HostChange(host, replace(fact, text=now), fact.row, fact.row.values, then)

    def noop_reason(self, facts: Facts) -> str:
        if facts.edge.maintenance != self.maintenance or not super().noop_reason(facts):
            return ""
        return f"maintenance is {'on, with these words' if self.maintenance else 'off'}"

    def snapshot(self, facts: Facts) -> Before:
        return {**super().snapshot(facts), "noted": encode(facts.edge.maintenance)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        folder = Path(text(before, "backup"))
        container = self._container(machine)
        changes = self._unchanged(machine, container, before)
        backup.save(folder, self.edge.database, [saved_host(change) for change in changes])
        backup.set_stage(folder, BEGAN)
        region.note(machine.ops, self.maintenance)
        self._write(machine, container, folder, [change for change in changes if not change.same])
        backup.set_stage(folder, RELOADED)
        evidence = server.reload(machine, container, self.seconds)
        served = self._answers(machine, container.addresses[self.edge.network], changes)
        return {"hosts": table(before, "hosts"), "backup": str(folder), "served": served, **evidence}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        noted = before.get("noted")
        region.note(machine.ops, decode_as(Maintenance, noted) if noted else None)
        return super().undo(machine, before)

    def _answers(self, machine: Machine, address: str, changes: list[HostChange]) -> list[str]:
        """Verify that nginx answers by itself, or does so no more; returns the answers' texts. Raises StepFailed."""
        began = time.monotonic()
        attempts: dict[str, Attempt] = {}
        for change in changes:
            of = self.maintenance or region.of(change.fact)
            if of:
                header = f"{page.HEADER}: {page.mark(of)}"
                attempts[change.host.domain] = functools.partial(
                    self._answer, address, change.fact.tls, change.host.domain, header
                )
        observations = until_good(machine, attempts, self.seconds)
        problems = failures(machine, observations, began)
        if problems:
            raise StepFailed(f"through the edge: {problems}")
        return [f"{domain} {observation.text}" for domain, observation in observations.items()]

    def _answer(self, address: str, tls: bool, domain: str, header: str, seconds: float) -> Observation:
        answer = server.probe_host(address, tls, domain, "/", header, 600, seconds)
        if self.maintenance or "status" not in answer.data:
            return answer
        status = answer.data["status"]
        return Observation(not answer.ok, f"answers {status}" + (" as during maintenance" if answer.ok else ""))


@wire
@dataclass(frozen=True)
class RestoreEdge(EdgeAction):
    """Restores hostnames' rows and files from a backup, then requests `paths` (domain → path)."""

    edge: EdgeRef
    backup: str
    paths: dict[str, str]
    prefixes: tuple[str, ...] = ()  # whose routes are requested as well
    seconds: float = 15.0
    way: str = FILES

    def required_facts(self) -> FactsRequest:
        return FactsRequest(edge=self.edge, edge_backups=self.backup)

    def describe(self) -> str:
        return f"restore backup {self.backup} of the edge's rows and files"

    def targets(self, facts: Facts) -> tuple[EdgeHost, ...]:
        """Return the backup's hosts, with their upstreams at that time."""
        return tuple(
            target_of(domain, host.row, self.prefixes, self.paths.get(domain, "/"))
            for domain, host in self._backup(facts).hosts.items()
            if domain in self.edge.domains
        )

    def change(self, host: EdgeHost, fact: HostFact, facts: Facts) -> HostChange:
        backup = self._backup(facts)
        return restoring_change(host, fact, backup.hosts[host.domain].row, backup.texts.get(host.domain, ""))

    def _backup(self, facts: Facts) -> EdgeBackup:
        if not facts.edge_backups:
            raise StepFailed(f"there is no backup {self.backup} of the edge: `inv npm.restore` lists them")
        result: EdgeBackup = facts.edge_backups[0]
        return result


@wire
@dataclass(frozen=True)
class BackUpEdge(Action):
    """Makes a backup: the whole database, and our hosts' files. Changes nothing of the edge."""

    edge: EdgeRef

    def required_facts(self) -> FactsRequest:
        return FactsRequest(edge=self.edge)

    def describe(self) -> str:
        return f"back up NPM's database and the files of {', '.join(self.edge.domains)}"

    def unreadable_reason(self, facts: Facts) -> str:
        hosts: dict[str, HostFact] = facts.edge.hosts
        problems = [f"{domain}: {fact.problem}" for domain, fact in hosts.items() if fact.row is None]
        return "; ".join(problems) if hosts else facts.edge.problem

    def snapshot(self, facts: Facts) -> Before:
        return {"hosts": list(facts.edge.hosts)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        facts = gather(machine, self.required_facts())
        folder = backup.new_folder(machine.backups, time.time())
        backup.save(folder, self.edge.database, [saved_as_is(fact) for fact in facts.edge.hosts.values()])
        return {"backup": backup.number_of(folder), "folder": str(folder)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return {"why": "a backup is kept"}
