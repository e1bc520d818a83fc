"""What the edge's database, its generated files and the running nginx say, and how they differ."""

from __future__ import annotations

from collections.abc import Iterator

from fabfile.inventory import Site
from fabfile.plans import edge
from fabfile.runner.edge import hostfile, routes
from fabfile.runner.edge.change import CLOSED, OPEN, EdgeHost
from fabfile.runner.edge.nginx import ParseError, parse
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.wire.edge import HostFact, ProxyHost, Upstream
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime

Row = tuple[str, bool, str]  # what, whether all agree, what they say


def state(site: Site, facts: Facts) -> Iterator[tuple[str, bool, str]]:
    """Rows (what, good or not, evidence): the container, nginx's own test, and each of our hostnames."""
    yield from running(site, facts)
    for domain, fact in facts.edge.hosts.items():
        if fact.problem:
            yield domain, False, fact.problem
            continue
        routes = f"; {len(fact.routes)} prefixes to {fact.route_upstream}" if fact.routes else ""
        closed = "closed; its row leads " if fact.closed else ""
        yield domain, not fact.drift, "; ".join(fact.drift) or f"{closed}to {fact.upstream}{routes}"
        yield (
            f"{domain} in the running nginx",
            not fact.stale,
            "reload needed" if fact.stale else "as in the file" if fact.text else "not there",
        )


def running(site: Site, facts: Facts) -> Iterator[tuple[str, bool, str]]:
    """Rows as `checks` has them, of the container and of nginx's own test."""
    edge_facts = facts.edge
    if edge_facts.problem:
        yield site.edge.container, False, edge_facts.problem
    else:
        yield site.edge.container, True, "runs"
        yield "nginx -t", not edge_facts.config_problem, edge_facts.config_problem or "passes"


def differences(site: Site, facts: Facts, to: Runtime) -> Iterator[Row]:
    """Rows for the edge itself, and one for each key of each of our hostnames."""
    yield from running(site, facts)
    for host in edge.hosts(site, facts, to):
        fact: HostFact | None = facts.edge.hosts.get(host.domain)
        if fact is None:
            yield host.domain, False, "could not be read"
        elif fact.row is None or fact.problem:
            yield host.domain, False, fact.problem
        else:
            for key, agree, text in _keys(host, fact, fact.row):
                yield f"{host.domain}: {key}", agree, text
            if host.domain == site.edge.api_domain:
                yield f"{host.domain}: raw API", *_exposed(fact.row, site.public.raw_api, to)


def _keys(host: EdgeHost, fact: HostFact, row: ProxyHost) -> Iterator[Row]:
    if row.points_nowhere and not fact.text:
        yield "place", True, f"{row.place}: closed, it leads nowhere"
        return
    file = fact.upstream if fact.text else None
    yield _compared("host", row.host, file.host if file else "", host.upstream_host, fact)
    yield _compared("port", str(row.port), str(file.port) if file else "", str(host.upstream_port), fact)
    yield _compared("scheme", row.scheme, file.scheme if file else "", "http", fact)
    problems = [*_pasted(fact, row), *_managed(host, row)]
    yield "advanced_config", not problems, "; ".join(problems) or "as wanted"
    there, enabled = "there" if fact.text else "not there", "enabled" if row.enabled else "disabled"
    yield "file", bool(fact.text) == row.enabled, f"{there}, {enabled} in the database"
    nginx = "older than the file: a reload is needed" if fact.stale else "as the file" if fact.text else "closed"
    yield "nginx", not fact.stale, nginx


def _exposed(row: ProxyHost, intended: str, to: Runtime) -> tuple[bool, str]:
    """Whether the public has the API's own hostname, as was decided."""
    now = OPEN if row.enabled else CLOSED
    if now == intended:
        return True, now
    return False, f"{now}, public.raw_api says {intended}: inv npm.switch --to {to} --raw-api {intended}"


def _compared(key: str, database: str, file: str, intended: str, fact: HostFact) -> Row:
    values = {
        "database": database,
        **({"file": file or "nothing"} if fact.text else {}),
        "wanted": intended or "unknown",
    }
    if len(set(values.values())) == 1:
        return key, True, database
    return key, False, ", ".join(f"{who} says {what}" for who, what in values.items())


def _pasted(fact: HostFact, row: ProxyHost) -> Iterator[str]:
    """How the file's advanced_config is not the database's."""
    if not fact.text:
        return
    try:
        # Where the file leads is another key's business: only what stands in the paste is compared.
        hostfile.updated_file(fact.text, fact.domain, Upstream("any", 1), row.advanced, row.advanced)
    except (StepFailed, ParseError) as error:
        yield str(error).removeprefix(f"{fact.domain}: ")


def _managed(host: EdgeHost, row: ProxyHost) -> Iterator[str]:
    """How the database's advanced_config is not what is wanted."""
    if not host.routes:
        return
    try:
        intended = routes.managed_config(row.advanced, host.block)
        blocks = routes.route_blocks(parse(row.advanced))
    except (StepFailed, ValueError) as error:
        yield str(error)
        return
    if intended == row.advanced:
        return
    ours = [block for block in blocks if set(host.routes).intersection(block.prefixes)]
    routing = [f"{len(block.prefixes)} prefixes to {block.upstream}" for block in ours] or ["no block of ours"]
    marked = "" if routes.BEGIN in row.advanced else ", without our markers"
    routed = f"{len(host.routes)} prefixes to {Upstream(host.route_host, host.route_port)}"
    yield f"database says {', '.join(routing)}{marked}, wanted says {routed}"
