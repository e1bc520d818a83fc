"""Where the edge sends the app's two hostnames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from fabfile import survey
from fabfile.inventory import Site
from fabfile.plans.plan import NothingToUndo, Plan, Probe, Step, Steps, Undo
from fabfile.plans.steps import paths
from fabfile.runner.actions.edge_point import BackUpEdge, MaintainEdge, PointEdge, RestoreEdge
from fabfile.runner.actions.edge_switch import FILES, EdgeAction
from fabfile.runner.actions.probes import ContainersDown, UnitsDown
from fabfile.runner.edge.change import CLOSED, KEEP, OPEN, EdgeHost
from fabfile.runner.wire.edge import HostFact, Maintenance
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime

Place = tuple[str, int]  # host and port

ACCESS_LISTS = "access_lists"  # the setting of a plan


def point(site: Site, facts: Facts, to: Runtime, *, way: str = FILES, raw_api: str = KEEP) -> Steps:
    """Point the edge at a runtime: the app's name at web, its API prefixes and the API's name at api.

    `raw_api` opens or closes the API's own name; a closed one's row follows as well. `way` is who changes rows
    and files: the runner itself, or NPM by its API.
    """
    targets = hosts(site, facts, to, raw_api=raw_api)
    action = PointEdge(survey.edge_ref(site), targets, seconds=site.timeouts.edge, way=way)
    return (Step(f"edge: point to {to}", action, Undo(), _alone(site, facts, to), site.timeouts.edge),)


def keep(site: Site, facts: Facts) -> Steps:
    """Back up what the edge is now."""
    return (
        Step("edge: back up", BackUpEdge(survey.edge_ref(site)), NothingToUndo("a backup changes nothing at the edge")),
    )


def restore(site: Site, facts: Facts, backup: str) -> Steps:
    """Bring back the hosts' rows and files that a backup has."""
    action = RestoreEdge(survey.edge_ref(site), backup, paths(site, facts), site.edge.api_prefixes, site.timeouts.edge)
    return (Step(f"edge: restore {backup}", action, Undo()),)


def maintain(site: Site, facts: Facts, words: Maintenance | None) -> Steps:
    """Have the edge answer 503 by itself with these words, or without any, send requests on again.

    Where it does so already, with the same words, it is the same maintenance: it began when it began.
    """
    on = facts.edge.maintenance
    if on and words and (on.until, on.message) == (words.until, words.message):
        words = on
    action = MaintainEdge(survey.edge_ref(site), words, site.edge.api_prefixes, site.timeouts.edge)
    return (Step(f"edge: maintenance {'on' if words else 'off'}", action, Undo(deadline=site.timeouts.edge)),)


def hosts(
    site: Site, facts: Facts, to: Runtime, places: Mapping[str, Place] | None = None, raw_api: str = KEEP
) -> tuple[EdgeHost, ...]:
    """Where the two hostnames shall go: to a runtime, but for the services that have other `places` by name.

    A place that is not the runtime's answers nothing yet, so it is only asked for a connection.
    """
    edge, docker, web, api = site.edge, site.runtimes.docker, site.web, site.api
    native = survey.address(facts, site.runtimes.native.upstream)
    web_host, api_host = (native, native) if to == "native" else (docker.web_host, docker.api_host)
    elsewhere = places or {}
    web_at = elsewhere.get(web.name, (web_host, web.port or 0))
    api_at = elsewhere.get(api.name, (api_host, api.port or 0))
    header, asked = f"{edge.served_by_header}: {to}" if edge.served_by_header else "", paths(site, facts)
    app = EdgeHost(edge.app_domain, *web_at, edge.api_prefixes, *api_at, asked[edge.app_domain], header)
    raw = EdgeHost(edge.api_domain, *api_at, probe_path=asked[edge.api_domain], expect_header=header, exposure=raw_api)
    parked = {app: {web.name, api.name}, raw: {api.name}}
    return tuple(
        replace(host, probe_path="", expect_header="") if parked[host].intersection(elsewhere) else host
        for host in (app, raw)
    )


def _alone(site: Site, facts: Facts, to: Runtime) -> tuple[Probe, ...]:
    """That the other runtime's services are down, so that the answers can be nobody else's."""
    services = site.scope("full")
    if to == "native":
        return (ContainersDown(site.runtimes.docker.project, tuple(service.name for service in services)),)
    if facts.user_manager:  # nobody has started a unit where no manager can be reached
        return ()
    return (UnitsDown(tuple(service.unit for service in services), site.app.user),)


def with_access_lists(facts: Facts, plan: Plan) -> Plan:
    """The plan, such that what the edge itself refuses counts as it did before, which is as served."""
    hosts: Iterable[HostFact] = facts.edge.hosts.values()
    refusals = {host.domain: host.refusals for host in sorted(hosts, key=lambda host: host.domain) if host.refusals}
    if not refusals:
        return plan
    watch = tuple(replace(w, refusals=refusals.get(w.domain, ())) for w in plan.watch)
    words = (f"{domain}={','.join(map(str, statuses))}" for domain, statuses in refusals.items())
    return replace(plan, watch=watch, settings={**plan.settings, ACCESS_LISTS: " ".join(words)})


def access_lists(settings: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """The statuses with which the edge itself may refuse requests, by hostname, from a plan's settings."""
    pairs = [word.partition("=")[::2] for word in settings.get(ACCESS_LISTS, "").split()]
    return {domain: tuple(int(status) for status in statuses.split(",") if status) for domain, statuses in pairs}


def without_closed_api(site: Site, facts: Facts, plan: Plan) -> Plan:
    """The plan, such that nobody expects an answer of the API's own name where that is closed, or will be."""
    fact: HostFact | None = facts.edge.hosts.get(site.edge.api_domain)
    was = now = CLOSED if fact and fact.closed else OPEN
    for step in plan.steps:
        if isinstance(step.action, EdgeAction):
            exposures = [h.exposure for h in step.action.targets(facts) if h.domain == site.edge.api_domain]
            now = next((exposure for exposure in exposures if exposure in (OPEN, CLOSED)), now)
    if CLOSED not in (was, now):
        return plan
    watch = tuple(watch for watch in plan.watch if watch.domain != site.edge.api_domain)
    return replace(plan, watch=watch, settings={**plan.settings, "raw_api": now})
