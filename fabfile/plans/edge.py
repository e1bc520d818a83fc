"""Where the edge sends the app's two hostnames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from fabfile import survey
from fabfile.inventory import Site
from fabfile.plan import Step, Steps, Undo
from fabfile.runner.facts import Facts
from fabfile.runner.npm import PointEdge
from fabfile.runner.npmchange import EdgeHost

Place = tuple[str, int]  # host and port


def point(site: Site, facts: Facts, to: str) -> Steps:
    """Point the edge at a runtime: the app's name at web, its API prefixes and the API's name at api."""
    return (
        Step(
            f"edge: point to {to}",
            PointEdge(survey.edge_ref(site), hosts(site, facts, to), seconds=site.timeouts.edge),
            Undo(),
        ),
    )


def hosts(site: Site, facts: Facts, to: str, places: Mapping[str, Place] | None = None) -> tuple[EdgeHost, ...]:
    """Where the two hostnames shall go: to a runtime, but for the services that have other `places` by name.

    A place that is not the runtime's answers nothing yet, so it is only asked for a connection.
    """
    edge, docker, web, api = site.edge, site.runtimes.docker, site.web, site.api
    native = survey.address(facts, site.runtimes.native.upstream)
    web_host, api_host = (native, native) if to == "native" else (docker.web_host, docker.api_host)
    elsewhere = places or {}
    web_at = elsewhere.get(web.name, (web_host, web.port or 0))
    api_at = elsewhere.get(api.name, (api_host, api.port or 0))
    header = f"{edge.served_by_header}: {to}"
    app = EdgeHost(edge.app_domain, *web_at, edge.api_prefixes, *api_at, web.health or "/", header)
    raw = EdgeHost(edge.api_domain, *api_at, probe_path=api.health or "/", expect_header=header)
    parked = {app: {web.name, api.name}, raw: {api.name}}
    return tuple(
        replace(host, probe_path="", expect_header="") if parked[host].intersection(elsewhere) else host
        for host in (app, raw)
    )


def checks(site: Site, facts: Facts) -> Iterator[tuple[str, bool, str]]:
    """Rows (what, good or not, evidence): the container, nginx's own test, and each of our hostnames."""
    found = facts.edge
    if found["problem"]:
        yield site.edge.container, False, found["problem"]
    else:
        yield site.edge.container, True, "runs"
        yield "nginx -t", not found["test"], found["test"] or "passes"
    for domain, fact in found["hosts"].items():
        if fact.problem:
            yield domain, False, fact.problem
            continue
        routes = f"; {len(fact.routes)} prefixes to {fact.route_upstream}" if fact.routes else ""
        yield domain, not fact.drift, "; ".join(fact.drift) or f"to {fact.upstream}{routes}"
        yield (
            f"{domain} in the running nginx",
            not fact.stale,
            "reload needed" if fact.stale else "as in the file",
        )
