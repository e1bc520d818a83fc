"""Where things stand, from one survey."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from fabfile import output, survey, workloads
from fabfile.checks import boot, compose, environment, firewall
from fabfile.checks.edge import unled
from fabfile.checks.maintenance import state
from fabfile.commands.session import Session
from fabfile.console import Console
from fabfile.inventory import RUNTIMES, Site
from fabfile.runner.system.docker import PROXIES
from fabfile.runner.wire.app import Program
from fabfile.runner.wire.edge import HostFact
from fabfile.runner.wire.events import Event, PastPlan
from fabfile.runner.wire.facts import Facts, FactsRequest, Health, Workload
from fabfile.runner.wire.terms import other
from fabfile.terms import Owner, Runtime

_PAUSE_SECONDS = 2.0  # seconds between two looks
_NO_ANSWER = "could not be asked"


def request(site: Site) -> FactsRequest:
    """Everything the plans judge by, with what runs and lies there takes up, native servers' versions and exposures.

    No container is started for it: the version of a server in Docker is what its image says.
    """
    return survey.merge(
        survey.request(site),
        FactsRequest(
            memory=True,
            sized=tuple(server.data for server in site.servers),
            programs=tuple(Program(f"native/{s.name}", (s.binary, *s.version_argv)) for s in site.servers),
            exposed=survey.unit_files(site),
        ),
    )


def watch(session: Session) -> None:
    """Show how things stand again and again, on a terminal in the same place; until Ctrl-C. Raises Unreachable.

    It ends where nobody reads any more.
    """
    while not output.reader_is_gone():
        facts = session.survey(request(session.site), then=())
        session.console.begin_anew(time.strftime("%Y-%m-%d %H:%M:%S"))
        show(session.console, session.site, facts)
        time.sleep(_PAUSE_SECONDS)


def show(console: Console, site: Site, facts: Facts) -> None:
    """Owner, edge, health of both runtimes and the rest on one screen; then whatever the operator should know."""
    owner, edge = survey.owner(facts), survey.edge_runtime(site, facts)
    console.say(f"host   {facts.host.name}")
    console.say(f"owner  {_owner(facts)}")
    api: HostFact | None = facts.edge.hosts.get(site.edge.api_domain)
    raw_api = "unknown" if api is None or api.problem else "closed" if api.closed else "open"
    closed = f"; {site.edge.api_domain} is closed" if raw_api == "closed" else ""
    hosts: Iterable[HostFact] = facts.edge.hosts.values()
    drift = sum(len(host.drift) for host in hosts)
    drifts = f"; {drift} differences between database and files, see below" if drift else ""
    console.say(f"edge   {edge or _nowhere(facts)}{closed}{drifts}")
    console.data(
        "status",
        host=facts.host.name,
        owner=owner,
        edge=edge,
        raw_api=raw_api,
        edge_problem=facts.edge.problem,
        drift=drift,
        maintenance=state.words(facts),
        last_plan=facts.ops.last,
        last_outcome=facts.ops.last_outcome,
        exposures=facts.exposures,
    )
    reboot(console, site, facts)
    for label, text in _more(site, facts, owner):
        console.say(f"{label:<6} {text}")
    _table(console, site, facts, owner)
    for text in _warnings(site, facts, owner, edge) + [str(finding) for finding in boot.findings(site, facts)]:
        console.warn(text)


def _more(site: Site, facts: Facts, owner: Owner) -> Iterator[tuple[str, str]]:
    """Firewall, exposure, last plan, and what the other runtime still runs: what is known of them."""
    if facts.firewall.problem or facts.firewall.installed or facts.firewall.other:
        rows = list(firewall.rows(site, facts))
        dropped = [what for what, good, _ in rows[1:] if not good]
        yield "ufw", rows[0][2] + (f"; not let in: {', '.join(dropped)}" if dropped else "")
    if facts.exposures:
        unit, score = max(facts.exposures.items(), key=lambda item: item[1])
        least = min(facts.exposures.values())
        yield "units", f"exposure {least:g} to {score:g} of 10 (most: {unit}); inv check.static shows each"
    if state.words(facts):
        yield "maint.", state.words(facts)
    if facts.ops.last:
        yield "plan", f"{facts.ops.last}: {facts.ops.last_outcome or 'has not ended'}"
    if owner:
        left = other(owner)
        running = [v.name for v in facts.health.values() if v.runtime == left and v.running]
        yield "other", f"{left} runs {', '.join(running)}" if running else f"{left} runs nothing"


def _table(console: Console, site: Site, facts: Facts, owner: Owner) -> None:
    """A row for each server and service: its health in both runtimes, and of the owner's what it takes up."""
    servers = {server.name: server for server in site.servers}
    rows = []
    for index, workload in enumerate(workloads.everything(site, "native")):
        row = [workload.name]
        for runtime in RUNTIMES:
            each = workloads.everything(site, runtime)[index]
            key = f"{runtime}/{each.name}"
            verdict = facts.health.get(key)
            row.append(_health(verdict, runtime == owner, bool(owner)))
            console.data(
                "health",
                runtime=runtime,
                name=each.name,
                ok=bool(verdict and verdict.ok),
                text=verdict.text if verdict else _NO_ANSWER,
                restarts=verdict.restarts if verdict else 0,
                memory=facts.memory.get(key),
                port=_port(facts, each),
                version=_version(facts, each),
                data=facts.sizes.get(servers[each.name].data) if each.name in servers else None,
            )
            if runtime == owner:
                data = facts.sizes.get(servers[each.name].data) if each.name in servers else None
                details = [str(verdict.restarts) if verdict and verdict.running else "", _size(facts.memory.get(key))]
                details += [_port(facts, each), _version(facts, each), _size(data)]
        rows.append([*row, *(details if owner else [])])
    more = ("restarts", "memory", "port", "version", "data") if owner else ()
    filled = [number for number in range(len(rows[0])) if number < 3 or any(row[number] for row in rows)]
    columns = ("", *RUNTIMES, *more)
    console.table("", [columns[number] for number in filled], [[row[number] for number in filled] for row in rows])


def _health(verdict: Health | None, of_owner: bool, owned: bool) -> str:
    if verdict is None:
        return _NO_ANSWER
    if verdict.ok:
        return f"✓ {verdict.text}"
    if of_owner:
        return f"✗ {verdict.text}"
    return "down" if owned and verdict.state and not verdict.running else verdict.text


def _port(facts: Facts, workload: Workload) -> str:
    """The port where it listens on the VPS, and who holds that; empty for a container that publishes none."""
    held = [item for item in facts.listeners if workload.port and item.port == workload.port]
    if not held or (workload.runtime == "docker") != bool(held[0].container or held[0].command in PROXIES):
        return ""
    holder = held[0].container or held[0].command
    return f"{workload.port} {holder}" + ("" if held[0].container else f" ({held[0].pid})")


def _version(facts: Facts, workload: Workload) -> str:
    """The version of a server: natively by its program, in Docker by its image's tag."""
    if workload.protocol in ("", "http"):
        return ""
    if workload.runtime == "native":
        return facts.versions.get(f"native/{workload.name}", "")
    container = facts.containers.get(workload.name)
    return container.image.rpartition(":")[2] if container and ":" in container.image else ""


def _size(count: int | None) -> str:
    """Bytes as text."""
    if count is None:
        return ""
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.1f} MiB"


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
        outage = f"{max(tally['outage_ms'] for tally in plan.impact.values()) / 1000:.2f} s" if plan.impact else ""
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
    warnings += state.warnings(facts)
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
