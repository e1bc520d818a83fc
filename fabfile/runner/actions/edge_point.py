"""Changes of the edge: point it to other upstreams, back it up, restore a backup."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..edge import backup
from ..edge.change import EdgeHost, HostChange, planned_change, restoring_change, target_of
from ..facts.gather import gather
from ..system.machine import Evidence, Machine, StepFailed
from ..wire.codec import wire
from ..wire.edge import EdgeBackup, EdgeRef, HostFact
from ..wire.facts import Facts, FactsRequest
from .base import Action
from .before import Before
from .edge_switch import FILES, EdgeAction, saved_as_is


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
