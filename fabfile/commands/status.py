"""Where things stand, from one survey."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from fabfile import survey, workloads
from fabfile.checks import boot, compose, environment
from fabfile.checks.edge import unled
from fabfile.console import Console
from fabfile.inventory import RUNTIMES, Site
from fabfile.runner.wire.edge import HostFact
from fabfile.runner.wire.events import Event, PastPlan
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Owner, Runtime


def show(console: Console, site: Site, facts: Facts) -> None:
    """Owner, edge and health of both runtimes; then whatever the operator should know."""
    owner, edge = survey.owner(facts), survey.edge_runtime(site, facts)
    console.say(f"host   {facts.host.name}")
    console.say(f"owner  {_owner(facts)}")
    api: HostFact | None = facts.edge.hosts.get(site.edge.api_domain)
    raw_api = "unknown" if api is None or api.problem else "closed" if api.closed else "open"
    console.say(
        f"edge   {edge or _nowhere(facts)}" + (f"; {site.edge.api_domain} is closed" if raw_api == "closed" else "")
    )
    problem = facts.edge.problem
    console.data("status", host=facts.host.name, owner=owner, edge=edge, raw_api=raw_api, edge_problem=problem)
    reboot(console, site, facts)
    rows = []
    for index, workload in enumerate(workloads.everything(site, "native")):
        row = [workload.name]
        for runtime in RUNTIMES:
            other = workloads.everything(site, runtime)[index]
            verdict = facts.health.get(f"{runtime}/{other.name}")
            text = verdict.text if verdict else "could not be asked"
            row.append(f"✓ {text}" if verdict and verdict.ok else (f"✗ {text}" if runtime == owner else text))
            console.data("health", runtime=runtime, name=other.name, ok=bool(verdict and verdict.ok), text=text)
        rows.append(row)
    console.table("", ("", *RUNTIMES), rows)
    for text in _warnings(site, facts, owner, edge) + [str(finding) for finding in boot.findings(site, facts)]:
        console.warn(text)


def reboot(console: Console, site: Site, facts: Facts) -> None:
    """Say what a reboot of the VPS would bring up."""
    coming = boot.after_reboot(site, facts)
    if coming:
        console.say(f"reboot {'; '.join(_coming(site, r, names) for r, names in coming.items() if names) or 'nothing'}")
    for runtime, names in coming.items():
        console.data("reboot", runtime=runtime, names=list(names))


def events(console: Console, journal: Iterable[Event]) -> None:
    """What a plan's journal says, a line for each event."""
    for event in journal:
        console.past_event(event)


def past(console: Console, plans: Sequence[PastPlan]) -> None:
    """A line for each past plan."""
    rows = []
    for plan in plans:
        outage = f"{max(tally['outage_ms'] for tally in plan.felt.values()) / 1000:.2f} s" if plan.felt else ""
        took, ended = f"{plan.ms / 1000:.1f} s", plan.outcome or "unfinished"
        rows.append((plan.id, plan.plan, plan.who, plan.time[:19], took, ended, outage))
        console.data("past", **asdict(plan))
    console.table("", ("id", "plan", "who", "when (UTC)", "took", "ended", "outage"), rows)


def _owner(facts: Facts) -> str:
    """Who owns, in words, and whether the owner file says so."""
    if facts.owner_error:
        return "unknown: see the warning below"
    return (survey.owner(facts) or "nobody") + ("" if facts.owner else " (no owner file yet)")


def _nowhere(facts: Facts) -> str:
    """Why the edge sends requests to neither runtime, or that it could not be looked at."""
    if facts.edge.hosts:
        return "neither runtime: see npm.status"
    return f"unknown: {facts.edge.problem or 'it could not be looked at'}"


def _coming(site: Site, runtime: Runtime, names: Sequence[str]) -> str:
    """What a reboot would bring up of a runtime."""
    return runtime if len(names) == len(workloads.everything(site, runtime)) else f"{runtime}'s {', '.join(names)}"


def _warnings(site: Site, facts: Facts, owner: Owner, edge: str) -> list[str]:
    warnings = []
    if not (owner or facts.owner_error):
        warnings.append(
            f"nobody owns the app: Docker runs nothing of it, and without {site.app.owner_file} nothing native starts. "
            f"If the file was lost, write into it who owned (native or docker); then infra.start and app.start, or "
            f"docker.up"
        )
    if owner and edge and owner != edge:
        warnings.append(f"{owner} owns the app but the edge sends requests to {edge}: inv npm.switch --to {owner}")
    hosts: Iterable[HostFact] = facts.edge.hosts.values()
    warnings += [
        f"edge: {text}; inv npm.diff shows more"
        for host in hosts
        for text in (host.problem, *host.drift, *unled(site, facts, host))
        if text
    ]
    if facts.owner_error:
        warnings.append(facts.owner_error)
    if facts.user_manager:
        warnings.append(facts.user_manager)
    warnings += [problem for problem in (facts.docker_error, facts.compose_error) if problem]
    strays = [*compose.beside_native(site, facts), *compose.unknown_containers(site, facts)]
    strays += compose.unsealed(site, facts)
    strays += environment.out_of_date(site, facts) if owner == "native" else []
    warnings += [f"{stray.text}; {stray.fix}" for stray in strays]
    holder = facts.ops.lock
    if holder:
        warnings.append(f"a plan runs: {holder.who}, {holder.what}, since {holder.since}")
    else:
        warnings += [f"plan {name} is unfinished: inv revert --plan {name}" for name in facts.ops.unfinished]
    return warnings
