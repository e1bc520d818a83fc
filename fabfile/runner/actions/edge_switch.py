"""Changes the edge: NPM's rows and files together, then reloads nginx and verifies the result.

Before anything is written, nginx's test of the present files must pass and each new upstream must answer from inside
the edge's container. Rows and files are backed up, written, and tested by nginx; what it refuses is restored, and the
running nginx has not read it. After the reload the answers through the edge itself must be right. NPM's own API writes
and reloads in its own order; rows and files can be restored without it, whatever it has done.
"""

from __future__ import annotations

import time
from pathlib import Path

from ..edge import backup, database, server, verify
from ..edge.api import Api, apply
from ..edge.backup import BEGAN, RELOADED
from ..edge.change import EdgeHost, HostChange
from ..edge.database import RowChange
from ..edge.facts import host_facts
from ..facts.gather import gather
from ..system import diffs
from ..system.files import remove
from ..system.machine import Evidence, Machine, Observation, StepFailed
from ..wire.edge import EdgeContainer, EdgeFacts, EdgeRef, HostFact, SavedHost
from ..wire.facts import Facts, FactsRequest
from .base import Action, Inspection
from .before import Before, table, text

FILES, API = "files", "api"
SECRET = "npm"  # the name of the token for NPM's API among a plan's secrets


class EdgeAction(Action):
    """A change of some hosts of the edge; its subclasses differ in the change of each host."""

    edge: EdgeRef
    seconds: float
    way: str

    def targets(self, facts: Facts) -> tuple[EdgeHost, ...]:
        """Return the hosts that it changes. Raises StepFailed when they are unknown."""
        raise NotImplementedError

    def change(self, host: EdgeHost, fact: HostFact, facts: Facts) -> HostChange:
        """Return the change of one host. Raises StepFailed where there is no safe change."""
        raise NotImplementedError

    def required_facts(self) -> FactsRequest:
        return FactsRequest(edge=self.edge)

    def noop_reason(self, facts: Facts) -> str:
        if self.problems(facts):
            return ""
        changes = self.changes(facts)
        if any(not change.same or change.fact.stale for change in changes):
            return ""
        return "database, files and the running nginx say: " + ", ".join(str(change.host) for change in changes)

    def problems(self, facts: Facts) -> tuple[str, ...]:
        """Return every reason in the facts to refuse the change; nothing is changed while there is one."""
        edge, container = facts.edge, facts.edge.container
        problems = [edge.problem] if edge.problem else []
        if edge.config_problem:
            problems.append(f"nginx -t already fails in {container.name}: {edge.config_problem}")
        if container.running and self.edge.network not in container.addresses:
            problems.append(f"container {container.name} is not on the network {self.edge.network}")
        if edge.hosts:
            problems += self._host_problems(facts)
        return tuple(problems)

    def maintenance_problem(self, facts: Facts) -> str:
        """Return that nginx answers by itself, so that no answer of the app's could be verified; empty where not."""
        hosts: dict[str, HostFact] = facts.edge.hosts
        domains = [domain for domain, fact in hosts.items() if fact.maintenance]
        return f"maintenance is on for {', '.join(domains)}: nothing shows what the edge would serve" if domains else ""

    def _host_problems(self, facts: Facts) -> list[str]:
        problems: list[str] = []
        rows: dict[int, str] = {}
        try:
            targets = self.targets(facts)
        except StepFailed as error:
            return [str(error)]
        for host in targets:
            if not host.upstream_host:  # the network's own problem says why
                continue
            try:
                change = self.change(host, facts.edge.hosts[host.domain], facts)
            except StepFailed as error:
                problems.append(str(error))
                continue
            other = rows.setdefault(change.row.id, host.domain)
            if other != host.domain:
                problems.append(f"proxy host {change.row.id} has both {other} and {host.domain}: split it in two")
        return problems

    def changes(self, facts: Facts) -> list[HostChange]:
        """Return the change of each host. Raises StepFailed where there is no safe one."""
        return [self.change(host, facts.edge.hosts[host.domain], facts) for host in self.targets(facts)]

    def snapshot(self, facts: Facts) -> Before:
        return {"hosts": {change.host.domain: change.summary() for change in self.changes(facts)}}

    def inspect(self, machine: Machine) -> Inspection:
        facts = gather(machine, self.required_facts())
        problems = [*self.problems(facts), self.maintenance_problem(facts)]
        problems = [problem for problem in problems if problem]
        if problems:
            raise StepFailed("; ".join(problems), findings=problems)
        folder = backup.new_folder(machine.backups, time.time())
        return Inspection(self.noop_reason(facts), {"backup": str(folder), **self.snapshot(facts)})

    def apply(self, machine: Machine, before: Before) -> Evidence:
        folder = Path(text(before, "backup"))
        container = self._container(machine)
        changes = self._unchanged(machine, container, before)
        hosts = [change.host for change in changes if change.values.enabled]  # a closed one gets no requests
        probed = verify.check_upstreams(machine, container, self.edge.network, hosts, self.seconds)
        address = container.addresses[self.edge.network]
        refused = verify.refused_before(address, changes, self.seconds)
        backup.save(folder, self.edge.database, [saved_host(change) for change in changes])
        backup.set_stage(folder, BEGAN)
        differing = [change for change in changes if not change.same]
        # Without the lines around: they are the operator's own, and may have secrets.
        shown = [diffs.diff(*texts, context=0) for change in differing for texts in change.diffs()]
        if differing and self.way == API:
            evidence = self._change_by_npm(machine, container, folder, differing)
            changes = self._after_npm(machine, container)
        else:
            if differing:
                self._write(machine, container, folder, differing)
            backup.set_stage(folder, RELOADED)
            evidence = server.reload(machine, container, self.seconds)
        served = verify.check_serving(machine, address, changes, self.seconds, refused)
        answers = {"probed": probed, "served": served}
        return {"hosts": table(before, "hosts"), "backup": str(folder), **answers, "diffs": shown, **evidence}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        folder = Path(text(before, "backup"))
        if not backup.reached(folder, BEGAN):
            return {"why": "nothing had been changed"}
        restored = backup.restore(folder)
        needs_reload = restored or backup.reached(folder, RELOADED)
        evidence = reload_edge(machine, self.edge, self.seconds) if needs_reload else {}
        backup.clear_stages(folder)
        return {"put_back": restored, **evidence}

    def _container(self, machine: Machine) -> EdgeContainer:
        container = server.container(machine, self.edge.container)
        if not container.running or self.edge.network not in container.addresses:
            raise StepFailed(
                container.problem or f"container {container.name} is not on the network {self.edge.network}"
            )
        return container

    def _read_changes(self, machine: Machine, container: EdgeContainer) -> list[HostChange]:
        """Return the changes, by fresh facts: no more of them than they need."""
        hosts = {fact.domain: fact for fact in host_facts(machine, self.edge, container)}
        number = self.required_facts().edge_backups
        backups = backup.find(machine.ops, self.edge.database, number) if number else []
        return self.changes(Facts(edge=EdgeFacts(container, hosts=hosts), edge_backups=tuple(backups)))

    def _unchanged(self, machine: Machine, container: EdgeContainer, before: Before) -> list[HostChange]:
        """Return the changes. Raises StepFailed where they are no longer those that `snapshot` recorded."""
        changes = self._read_changes(machine, container)
        for change in changes:
            if change.summary() != table(before, "hosts")[change.host.domain]:
                raise StepFailed(f"{change.host.domain} was changed by somebody else since it was read")
        return changes

    def _write(self, machine: Machine, container: EdgeContainer, folder: Path, changes: list[HostChange]) -> None:
        """Write rows and files, then run nginx's own test; what it refuses is restored and never loaded."""
        try:
            database.change_rows(self.edge.database, [RowChange(change.row, change.values) for change in changes])
        except StepFailed:
            backup.clear_stages(folder)  # the transaction was rolled back, and nothing else is changed yet
            raise
        for change in changes:
            if change.text:
                backup.write_file(Path(change.fact.path), change.text)
            elif change.fact.text:
                remove(Path(change.fact.path))
        result = server.config_test(machine, self.edge.container)
        if result.code != 0:
            backup.restore(folder)
            if server.container(machine, self.edge.container).pid != container.pid:  # as when Docker restarts
                backup.set_stage(folder, RELOADED)
                raise StepFailed("the edge restarted meanwhile, and may have read the new files", said=result.excerpt)
            backup.clear_stages(folder)
            text = "nginx refuses the new files: rows and files are restored, nothing was loaded"
            raise StepFailed(text, said=result.excerpt)

    def _change_by_npm(
        self, machine: Machine, container: EdgeContainer, folder: Path, changes: list[HostChange]
    ) -> Evidence:
        """Change rows and files by NPM's API, host by host, each loaded by nginx before the next."""
        if SECRET not in machine.secrets:
            raise StepFailed("the plan has no token for NPM's API")
        api = Api(container.addresses[self.edge.network], self.edge.api_port, machine.secrets[SECRET])
        first, began = set(server.workers(container.pid)), time.monotonic()
        try:
            for change in changes:
                workers = set(server.workers(container.pid))
                reloaded = apply(api, change)
                backup.record_digest(folder, Path(change.fact.path))
                if reloaded:
                    server.await_workers(machine, container, workers, self.seconds)
        except StepFailed:
            files = [path for path in backup.restore(folder) if path.startswith("/")]
            if not files and set(server.workers(container.pid)) == first:  # nginx has loaded nothing
                backup.clear_stages(folder)
            else:
                backup.set_stage(folder, RELOADED)
            raise
        backup.set_stage(folder, RELOADED)
        return {"api_ms": round(1000 * (time.monotonic() - began))}

    def _after_npm(self, machine: Machine, container: EdgeContainer) -> list[HostChange]:
        """Return the changes after NPM's own work. Raises StepFailed where row or file still differ."""
        changes = self._read_changes(machine, container)
        wrong = [change.host.domain for change in changes if not change.same]
        if wrong:
            raise StepFailed(f"NPM's API accepted the change, but row or file of {', '.join(wrong)} is without it")
        return changes


def reload_edge(machine: Machine, edge: EdgeRef, seconds: float) -> Evidence:
    """Reload the running nginx, whose upstreams need not answer yet. Raises StepFailed."""

    def docker_answers() -> Observation:
        container = server.container(machine, edge.container)
        return Observation(container.known, container.problem)

    machine.wait(docker_answers, seconds, every=0.5)
    container = server.container(machine, edge.container)
    if not container.known:
        raise StepFailed(f"rows and files are as before, but nginx cannot be reloaded: {container.problem}")
    if not container.running:
        return {"reload": f"{container.problem}; it reads the restored files when it starts"}
    result = server.config_test(machine, edge.container)
    if result.code != 0:
        raise StepFailed(
            "rows and files are as before, but nginx -t fails: the running nginx keeps the new upstreams",
            said=result.excerpt,
        )
    return server.reload(machine, container, seconds)


def saved_host(change: HostChange) -> SavedHost:
    """Return a host for the backup before its change."""
    path = change.fact.path
    modified = Path(path).stat().st_mtime_ns if change.fact.text else 0
    written = change.summary()["file_becomes"]
    values = change.values
    return SavedHost(change.host.domain, change.row, path, modified, written, values.enabled, values.websocket)


def saved_as_is(fact: HostFact) -> SavedHost:
    """Return a host for a backup without a change."""
    assert fact.row is not None
    host = EdgeHost(fact.domain, fact.row.host, fact.row.port)
    return saved_host(HostChange(host, fact, fact.row, fact.row.values, fact.text))
