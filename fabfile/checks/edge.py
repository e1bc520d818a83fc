"""What the edge's database, its generated files and the running nginx say, and how they differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fabfile import survey, workloads
from fabfile.checks.maintenance.state import maintained
from fabfile.checks.result import Finding
from fabfile.inventory import Site
from fabfile.plans import edge, steps
from fabfile.runner.edge import hostfile, routes
from fabfile.runner.edge.change import CLOSED, OPEN, EdgeHost
from fabfile.runner.edge.nginx import ParseError, parse
from fabfile.runner.edge.routing import destinations
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.wire.edge import Forward, HostFact, ProxyHost, Upstream
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Owner, Runtime

Row = tuple[str, bool, str]  # what, whether it is as it should be, evidence


def state(site: Site, facts: Facts) -> Iterator[Row]:
    """Rows (what, good or not, evidence): the container, nginx's own test, and each of our hostnames."""
    yield from running(site, facts)
    for domain, fact in facts.edge.hosts.items():
        if fact.problem:
            yield domain, False, fact.problem
            continue
        routes = f"; {len(fact.routes)} prefixes to {fact.route_upstream}" if fact.routes else ""
        closed = "closed; its row leads " if fact.closed else ""
        yield domain, not fact.drift, "; ".join(fact.drift) or f"{closed}to {fact.upstream}{routes}"
        for text in unled(site, facts, fact):
            yield f"{domain}: locations", False, text
        for text in _answered_alone(site, fact):
            yield f"{domain}: nginx itself", True, text
        yield (
            f"{domain} in the running nginx",
            not fact.stale,
            "reload needed" if fact.stale else "as in the file" if fact.text else "not there",
        )
    yield from maintained(facts)
    yield from _beside(site, facts, survey.owner(facts))


def running(site: Site, facts: Facts) -> Iterator[Row]:
    """Rows for the container and for nginx's own test."""
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
            for text in unled(site, facts, fact):
                yield f"{host.domain}: locations", False, text
            if host.domain == site.edge.api_domain:
                yield f"{host.domain}: raw API", *_exposed(fact.row, site.public.raw_api, to)
    yield from maintained(facts)
    yield from _beside(site, facts, to)


def unled(site: Site, facts: Facts, fact: HostFact) -> list[str]:
    """Return the locations that keep requests from where the row and our block lead; empty for a closed host."""
    if not fact.text or fact.problem:
        return []
    prefixes = site.edge.api_prefixes if fact.domain == site.edge.app_domain else ()
    path = steps.paths(site, facts).get(fact.domain, "").split("?")[0]
    try:
        return destinations.unled(fact.text, fact.path, fact.includes, fact.domain, prefixes, path)
    except StepFailed as error:
        return [str(error)]


def beside(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """What goes on leading to Docker's containers when native owns: its users would get 502."""
    if to != "native":
        return []
    fixes = {
        True: "in Nginx Proxy Manager (Advanced, Custom locations), remove it, or let it lead where the host leads: "
        "`include conf.d/include/proxy.conf;` without a `set` or `proxy_pass` of its own",
        False: f"disable or remove it; a hostname that users need can be one more name of {site.edge.app_domain} in "
        "Nginx Proxy Manager, which follows every switch",
    }
    return [
        Finding(
            f"edge: {forward.source}: {forward.statement} leads to {name}, which is Docker's and would be down: "
            "502 for its users",
            fixes[forward.source in facts.edge.hosts],
        )
        for forward, name in _to_docker(site, facts)
    ] + [
        Finding(
            f"edge: {forward.source}: whether {forward.statement} leads to a container of Docker's can't be told: "
            f"{forward.problem}",
            "look there: whoever is sent to Docker's containers gets 502 while native owns",
            warning=True,
        )
        for forward in _forwards(site, facts)
        if forward.problem
    ]


def unmeasured(site: Site, facts: Facts) -> list[Finding]:
    """Paths that nginx answers by itself, whoever owns: what is asked of them shows nothing of the app."""
    return [
        Finding(
            f"edge: {domain}: {text}, whoever owns",
            "nothing, if it is meant: users get it before and after a hand-over, and what it leads to is checked",
            warning=True,
        )
        for domain, fact in facts.edge.hosts.items()
        for text in _answered_alone(site, fact)
    ]


def _answered_alone(site: Site, fact: HostFact) -> list[str]:
    if not fact.text or fact.problem:
        return []
    prefixes = site.edge.api_prefixes if fact.domain == site.edge.app_domain else ()
    try:
        return destinations.answered_alone(fact.text, fact.path, fact.includes, fact.domain, prefixes)
    except StepFailed:  # which `unled` shows
        return []


def restricted(facts: Facts) -> list[Finding]:
    """The hosts that let in only some, and may refuse the requests by which their answers are checked."""
    hosts: Iterable[HostFact] = facts.edge.hosts.values()
    return [
        Finding(
            f"edge: {host.domain} may refuse our requests, by {', '.join(host.access)}: where it does "
            f"({', '.join(map(str, host.refusals))}) that counts as served, as it did before, so that the checks "
            "through the edge prove less",
            "let the VPS itself and this machine in, by their addresses (satisfy any), for the time of the hand-over",
            warning=True,
        )
        for host in hosts
        if host.access
    ]


def _beside(site: Site, facts: Facts, owner: Owner) -> Iterator[Row]:
    """Rows for all that leads to Docker by itself, which is wrong while native owns, and for what may do so."""
    for forward, name in _to_docker(site, facts):
        yield f"{forward.source}: {name}", owner != "native", f"{forward.statement} leads there by itself"
    for forward in _forwards(site, facts):
        if forward.problem:
            text = f"where {forward.statement} leads can't be told: {forward.problem}"
            yield f"{forward.source}: elsewhere", True, text


def _to_docker(site: Site, facts: Facts) -> Iterator[tuple[Forward, str]]:
    """What leads to a container of the project by itself, and the name that it has of it."""
    known = _docker_names(site, facts)
    networks = [f".{network.lower()}" for network in {site.edge.network, *facts.edge.container.addresses}]
    for forward in _forwards(site, facts):
        for host in forward.hosts:
            name = host.rstrip(".")
            if known.intersection((name, *map(name.removesuffix, networks))):  # Docker knows NAME.NETWORK, too
                yield forward, host


def _forwards(site: Site, facts: Facts) -> Iterator[Forward]:
    """All that the edge forwards by itself: by locations of our hosts, then everything of others."""
    for domain, fact in facts.edge.hosts.items():
        if not fact.text or fact.problem:
            continue
        prefixes = site.edge.api_prefixes if domain == site.edge.app_domain else ()
        try:
            strays = destinations.strays(fact.text, fact.path, fact.includes, domain, prefixes)
        except StepFailed:
            continue  # which `unled` shows
        yield from (Forward(domain, str(stray.statement), stray.hosts, stray.problem) for stray in strays)
    yield from facts.edge.forwards


def _docker_names(site: Site, facts: Facts) -> set[str]:
    """The names and addresses by which the edge may reach a container of the project, in lower case."""
    docker, workloads_ = site.runtimes.docker, workloads.everything(site, "docker")
    names = {docker.web_host, docker.api_host, *site.services, *(workload.name for workload in workloads_)}
    for container in facts.all_containers:
        names |= {container.name, container.service, container.address, *container.reached} - {""}
    return {name.lower() for name in names}


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
    lost = hostfile.LOST_TLS.format(row.certificate)
    if fact.text:
        agree = f"{fact.domain}: {lost}" not in fact.drift
        yield "certificate", agree, (f"number {row.certificate}" if row.certificate else "none") if agree else lost
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
        # Only what stands in the paste is compared here; where the file leads is compared by another key.
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
