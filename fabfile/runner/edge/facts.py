"""Facts about the edge: what NPM's database, its generated files and the running nginx say of our hosts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ..system import docker
from ..system.machine import CommandFailed, Machine, StepFailed, said
from ..wire.edge import EdgeContainer, EdgeFacts, EdgeRef, HostFact, ProxyHost, Upstream
from . import backup, database, hostfile, server
from .routes import Drift, route_blocks
from .text import decoded


def edge_facts(machine: Machine, ref: EdgeRef) -> EdgeFacts:
    """All there is to know before a switch; what cannot be read is told, not raised."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        network = pool.submit(docker.network, machine, ref.network)
        box = server.container(machine, ref.container)
        test = pool.submit(server.config_test, machine, ref.container) if box.running else None
        facts, unread = EdgeFacts(box, problem=box.problem), ""
        try:
            facts = replace(facts, hosts={fact.domain: fact for fact in host_facts(machine, ref, read_at(box))})
        except StepFailed as error:
            unread = str(error)
        try:
            facts = replace(facts, network=network.result())
            if test:
                tested = test.result()
                facts = replace(facts, config_problem="" if tested.code == 0 else tested.said)
        except CommandFailed as error:
            facts = replace(facts, problem=facts.problem or said(error))
    return replace(facts, problem=unread or facts.problem)


def read_at(box: EdgeContainer) -> float:
    """When the running nginx last read its files (epoch, seconds); 0 when none runs."""
    return min(server.workers(box.pid).values(), default=0.0) if box.running else 0.0


def host_facts(machine: Machine, ref: EdgeRef, read: float) -> list[HostFact]:
    """What database and files say of our hostnames, nginx having read its files at `read` (see `read_at`).

    Raises StepFailed when the database cannot be read.
    """
    rows = database.live_rows(ref.database)
    return [_host(machine, ref, rows, domain, read) for domain in ref.domains]


def file_of(ref: EdgeRef, row: ProxyHost) -> Path:
    """The generated file of a proxy host."""
    return Path(ref.root) / "data/nginx/proxy_host" / f"{row.id}.conf"


def _host(machine: Machine, ref: EdgeRef, rows: list[ProxyHost], domain: str, read: float) -> HostFact:
    problem = database.row_problem(rows, domain)
    if problem:
        return HostFact(domain, problem)
    row = next(row for row in rows if domain in row.names)
    path = file_of(ref, row)
    bare = HostFact(domain, "", row, str(path))
    try:
        if not path.exists():
            return _without_file(machine, ref, bare, row)
        text = decoded(path.read_bytes())
        stale = path.stat().st_mtime > read > 0
    except OSError as error:
        return replace(bare, problem=f"the generated file of {domain} cannot be read: {error}")
    try:
        found = _read(replace(bare, text=text, stale=stale), text)
    except Drift as error:
        return replace(bare, problem=str(error), text=text)
    return replace(found, drift=_drift(row, found.upstream, text, domain))


def _without_file(machine: Machine, ref: EdgeRef, bare: HostFact, row: ProxyHost) -> HostFact:
    """A host that no file serves: its row tells where it would lead."""
    lost = (f"{bare.domain}: enabled in the database, and its file is missing",) if row.enabled else ()
    found = replace(bare, upstream=row.upstream, tls=True, drift=lost)  # a name that NPM has not is refused by TLS
    try:
        kept = backup.kept_file(machine.ops, ref.database, row, bare.domain)
        return replace(found, tls=_read(bare, kept).tls, kept=kept)
    except (StepFailed, OSError) as error:
        return replace(found, unkept=str(error))


def _read(bare: HostFact, text: str) -> HostFact:
    """What a file says. Raises Drift when it is not one of NPM's."""
    block = hostfile.server_block(text, bare.domain)
    blocks = route_blocks(block.children or ())
    return replace(
        bare,
        tls=any("ssl" in listen.values for listen in block.find("listen")),
        upstream=hostfile.own_upstream(block),
        # nginx takes the first matching location, so the first block is the one that counts.
        routes=blocks[0].prefixes if blocks else (),
        route_upstream=blocks[0].upstream if blocks else None,
    )


def _drift(row: ProxyHost, own: Upstream | None, text: str, domain: str) -> tuple[str, ...]:
    found = []
    if not row.enabled:
        found.append(f"{domain}: disabled in the database, and its file is still there")
    if own is None or not row.leads_to(own):
        found.append(f"{domain}: the database sends requests to {row.place}, the file to {own or 'nowhere'}")
    try:
        hostfile.updated_file(text, domain, own or Upstream("unknown", 1), row.advanced, row.advanced)
    except ValueError as error:
        found.append(f"{domain}: advanced_config: {error}")
    except Drift as error:
        found.append(str(error))
    return tuple(found)
