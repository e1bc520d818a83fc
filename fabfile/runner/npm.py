"""Points the edge at other upstreams: NPM's rows and files together, the running nginx told, the result seen.

The order is the safe one: nothing is touched before nginx's own test passes and the new upstreams have
answered from inside the edge's container; until the reload the running nginx never notices; past it, what
users get is asked through the edge itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

from . import npmbackup, npmproof, npmrows, npmserver
from .codec import wire
from .edge import HostFact, host_facts, read_at
from .facts import EdgeRef, Facts, Wanted
from .gather import gather
from .machine import Evidence, Machine, Seen, StepFailed
from .model import Action, Look
from .npmbackup import BEGAN, RELOADED, SavedHost
from .npmchange import EdgeHost as EdgeHost
from .npmchange import HostChange, change_of
from .npmrows import RowChange
from .npmserver import EdgeContainer


@wire
@dataclass(frozen=True)
class PointEdge(Action):
    """Points hostnames at the given upstreams, in NPM's database, its files and the running nginx."""

    edge: EdgeRef
    hosts: Tuple[EdgeHost, ...]
    seconds: float = 15.0  # for the reload to be taken, and again for the answers through the edge

    def wants(self) -> Wanted:
        return Wanted(edge=self.edge)

    def describe(self) -> str:
        return "point " + ", ".join(str(host) for host in self.hosts)

    def settled(self, facts: Facts) -> str:
        if self.problems(facts):
            return ""
        if any(not change.same or change.fact.stale for change in self.changes(facts)):
            return ""
        return "database, files and the running nginx say: " + ", ".join(str(host) for host in self.hosts)

    def problems(self, facts: Facts) -> Tuple[str, ...]:
        """Every reason to refuse the switch, as far as facts tell; nothing is touched while there is one."""
        edge = facts.edge
        box: EdgeContainer = edge["container"]
        found: List[str] = [edge["problem"]] if edge["problem"] else []
        if edge["test"]:
            found.append(f"nginx -t already fails in {box.name}: {edge['test']}")
        if box.running and self.edge.network not in box.addresses:
            found.append(f"container {box.name} is not on the network {self.edge.network}")
        if edge["hosts"]:
            found += self._host_problems(edge["hosts"])
        return tuple(found)

    def _host_problems(self, facts: Dict[str, HostFact]) -> List[str]:
        found: List[str] = []
        rows: Dict[int, str] = {}
        for host in self.hosts:
            if not host.upstream_host:  # the network's own problem says why
                continue
            try:
                change = change_of(host, facts[host.domain])
            except StepFailed as error:
                found.append(str(error))
                continue
            other = rows.setdefault(change.row.id, host.domain)
            if other != host.domain:
                found.append(f"proxy host {change.row.id} has both {other} and {host.domain}: split it in two")
        return found

    def changes(self, facts: Facts) -> List[HostChange]:
        """What the switch would make of each host. Raises StepFailed where it cannot be told."""
        return [change_of(host, facts.edge["hosts"][host.domain]) for host in self.hosts]

    def before(self, facts: Facts) -> Dict[str, Any]:
        return {"hosts": {change.host.domain: change.summary() for change in self.changes(facts)}}

    def look(self, machine: Machine) -> Look:
        facts = gather(machine, self.wants())
        problems = self.problems(facts)
        if problems:
            raise StepFailed("; ".join(problems), findings=list(problems))
        # One plan may point the edge more than once, each time with a backup of its own.
        backup = machine.backups / f"edge-{time.time_ns()}"
        return Look(self.settled(facts), {"backup": str(backup), **self.before(facts)})

    def do(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        folder = Path(before["backup"])
        box = self._box(machine)
        changes = self._as_seen(box, before)
        probed = npmproof.prove_upstreams(machine, box, self.edge.network, self.hosts)
        npmbackup.save(folder, self.edge.database, [_saved(change) for change in changes])
        npmbackup.mark(folder, BEGAN)
        differing = [change for change in changes if not change.same]
        if differing:
            self._write(machine, folder, differing)
        npmbackup.mark(folder, RELOADED)
        told = npmserver.reload(machine, box, self.seconds)
        served = npmproof.prove_served(machine, box.addresses[self.edge.network], changes, self.seconds)
        return {"hosts": before["hosts"], "backup": str(folder), "probed": probed, "served": served, **told}

    def restore(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        folder = Path(before["backup"])
        if not npmbackup.marked(folder, BEGAN):
            return {"why": "nothing had been changed"}
        changed = npmbackup.put_back(folder)
        loaded = changed or npmbackup.marked(folder, RELOADED)
        told = tell(machine, self.edge, self.seconds) if loaded else {}
        npmbackup.unmark(folder)
        return {"put_back": changed, **told}

    def _box(self, machine: Machine) -> EdgeContainer:
        box = npmserver.container(machine, self.edge.container)
        if not box.running or self.edge.network not in box.addresses:
            raise StepFailed(box.problem or f"container {box.name} is not on the network {self.edge.network}")
        return box

    def _as_seen(self, box: EdgeContainer, before: Dict[str, Any]) -> List[HostChange]:
        """The changes, from a fresh reading that must still be what `before` recorded."""
        facts = {fact.domain: fact for fact in host_facts(self.edge, read_at(box))}
        changes = [change_of(host, facts[host.domain]) for host in self.hosts]
        for change in changes:
            if change.summary() != before["hosts"][change.host.domain]:
                raise StepFailed(f"{change.host.domain} was changed by somebody else since it was looked at")
        return changes

    def _write(self, machine: Machine, folder: Path, changes: List[HostChange]) -> None:
        """Rows and files, then nginx's own test; what it refuses is put back and never loaded."""
        rows = [RowChange(change.row, change.host.upstream, change.advanced) for change in changes]
        try:
            npmrows.change_rows(self.edge.database, rows)
        except StepFailed:
            npmbackup.unmark(folder)  # the transaction did not happen, and nothing else has yet
            raise
        for change in changes:
            npmbackup.write_file(Path(change.fact.path), change.text)
        tested = npmserver.config_test(machine, self.edge.container)
        if tested.code != 0:
            npmbackup.put_back(folder)
            npmbackup.unmark(folder)
            raise StepFailed("nginx refuses the new files: all is put back, it goes on as before", said=tested.said)


def tell(machine: Machine, edge: EdgeRef, seconds: float) -> Evidence:
    """Have the running nginx read its files again. Its upstreams need not answer yet. Raises StepFailed."""

    def docker_answers() -> Seen:
        box = npmserver.container(machine, edge.container)
        return Seen(box.known, box.problem)

    machine.wait(docker_answers, seconds, every=0.5)
    box = npmserver.container(machine, edge.container)
    if not box.known:
        raise StepFailed(f"rows and files are as before, but nginx cannot be told: {box.problem}")
    if not box.running:
        return {"reload": f"{box.problem}; it reads the restored files when it starts"}
    tested = npmserver.config_test(machine, edge.container)
    if tested.code != 0:
        raise StepFailed(
            "rows and files are as before, but nginx -t fails: the running nginx keeps the new upstreams",
            said=tested.said,
        )
    return npmserver.reload(machine, box, seconds)


def _saved(change: HostChange) -> SavedHost:
    modified = Path(change.fact.path).stat().st_mtime_ns
    summary = change.summary()
    return SavedHost(change.host.domain, change.row, change.fact.path, modified, summary["file_becomes"])
