"""Reads the facts about the edge from NPM's database, its generated files and the running nginx."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ..system import docker
from ..system.machine import CommandFailed, Machine, StepFailed, failure_detail
from ..wire.edge import EdgeContainer, EdgeFacts, EdgeRef, HostFact, ProxyHost, Upstream, has_name
from . import backup, database, hostfile, server
from .hostfile import to_text
from .maintenance import region
from .routes import Drift, route_blocks
from .routing import configuration
from .routing.locations import included


def edge_facts(machine: Machine, ref: EdgeRef) -> EdgeFacts:
    """Return all facts that a switch depends on; what cannot be read is a `problem`, not an exception."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        network = pool.submit(docker.network, machine, ref.network)
        container = server.container(machine, ref.container)
        test = pool.submit(server.config_test, machine, ref.container) if container.running else None
        facts, rows_problem = EdgeFacts(container, problem=container.problem), ""
        try:
            nginx = configuration.read(ref, container)
            hosts = [configuration.with_definitions(nginx, fact) for fact in host_facts(machine, ref, container)]
            facts = replace(facts, hosts={fact.domain: fact for fact in hosts})
            facts = replace(facts, forwards=configuration.forwards(ref, nginx))
        except StepFailed as error:
            rows_problem = str(error)
        try:
            facts = replace(facts, network=network.result())
            if test:
                result = test.result()
                facts = replace(facts, config_problem="" if result.code == 0 else result.excerpt)
        except CommandFailed as error:
            facts = replace(facts, problem=facts.problem or failure_detail(error))
    return replace(facts, problem=rows_problem or facts.problem, maintenance=region.intended(machine.ops))


def config_read_time(container: EdgeContainer) -> float:
    """Return when the running nginx last read its files (epoch, seconds); 0 when none runs."""
    return min(server.workers(container.pid).values(), default=0.0) if container.running else 0.0


def host_facts(machine: Machine, ref: EdgeRef, container: EdgeContainer) -> list[HostFact]:
    """Read our hostnames from database and files.

    Raises StepFailed when the database cannot be read, or is not the one that NPM reads.
    """
    foreign = database.foreign_database(ref, container)
    if foreign:
        raise StepFailed(foreign)
    rows, read_at = database.live_rows(ref.database), config_read_time(container)
    facts = [_host(machine, ref, rows, domain, read_at) for domain in ref.domains]
    return [_with_includes(ref, container, fact) if fact.text else fact for fact in facts]


def file_of(ref: EdgeRef, row: ProxyHost) -> Path:
    """Return the path of a proxy host's generated file."""
    return Path(ref.root) / "data/nginx/proxy_host" / f"{row.id}.conf"


def _host(machine: Machine, ref: EdgeRef, rows: list[ProxyHost], domain: str, read_at: float) -> HostFact:
    problem = database.row_problem(rows, domain)
    if problem:
        return HostFact(domain, problem)
    row = next(row for row in rows if has_name(row.names, domain))
    path = file_of(ref, row)
    fact = HostFact(domain, "", row, str(path))
    try:
        if not path.exists():
            return _without_file(machine, ref, fact, row)
        text = to_text(path.read_bytes())
        if not row.enabled and not hostfile.has_server(text):
            return _without_file(machine, ref, fact, row)
        text, statements = region.split(text)
        fact = replace(fact, maintenance=statements)
        stale = path.stat().st_mtime > read_at > 0
    except OSError as error:
        return replace(fact, problem=f"the generated file of {domain} cannot be read: {error}")
    try:
        parsed = _parse(replace(fact, text=text, stale=stale), text)
    except Drift as error:
        return replace(fact, problem=str(error), text=text)
    # Where the row has a certificate, users come by HTTPS, whatever became of the file.
    return replace(parsed, tls=parsed.tls or bool(row.certificate), drift=_drift(row, parsed, text, domain))


def _without_file(machine: Machine, ref: EdgeRef, fact: HostFact, row: ProxyHost) -> HostFact:
    """Return the fact of a host without a file: its row has the upstream that it would get."""
    drift = (f"{fact.domain}: enabled in the database, and its file is missing",) if row.enabled else ()
    result = replace(fact, upstream=row.upstream, tls=True, drift=drift)  # a name that NPM has not is refused by TLS
    try:
        text = backup.file_from_backup(machine.ops, ref.database, row, fact.domain)
        return replace(result, tls=_parse(fact, text).tls, backup_text=text)
    except (StepFailed, OSError) as error:
        return replace(result, backup_problem=str(error))


def _parse(fact: HostFact, text: str) -> HostFact:
    """Parse a host's file. Raises Drift when it is not one of NPM's."""
    block = hostfile.server_block(text, fact.domain)
    blocks = route_blocks(block.children or ())
    return replace(
        fact,
        tls=hostfile.serves_tls(block),
        upstream=hostfile.own_upstream(block),
        # nginx takes the first matching location, so the first block is the one that counts.
        routes=blocks[0].prefixes if blocks else (),
        route_upstream=blocks[0].upstream if blocks else None,
    )


def _drift(row: ProxyHost, parsed: HostFact, text: str, domain: str) -> tuple[str, ...]:
    own, differences = parsed.upstream, []
    if not row.enabled:
        differences.append(f"{domain}: disabled in the database, and its file is still there")
    if row.certificate and not parsed.tls:
        differences.append(f"{domain}: {hostfile.LOST_TLS.format(row.certificate)}")
    if own is None or not row.leads_to(own):
        differences.append(f"{domain}: the database sends requests to {row.place}, the file to {own or 'nowhere'}")
    try:
        hostfile.updated_file(text, domain, own or Upstream("unknown", 1), row.advanced, row.advanced)
    except ValueError as error:
        differences.append(f"{domain}: advanced_config: {error}")
    except Drift as error:
        differences.append(str(error))
    return tuple(differences)


def _with_includes(ref: EdgeRef, container: EdgeContainer, fact: HostFact) -> HostFact:
    """Return a host's fact with all that its file includes, and who is let in by that."""
    includes = included(ref, container, fact.text)
    try:
        access = configuration.restrictions(fact.text, fact.path, includes, fact.domain)
    except Drift:
        access = {}  # the fact's problem says why
    refusals = sorted({status for statuses in access.values() for status in statuses})
    return replace(fact, includes=includes, access=tuple(access), refusals=tuple(refusals))
