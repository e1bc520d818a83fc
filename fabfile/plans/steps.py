"""What several plans are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from fabfile.inventory import Service, Site
from fabfile.plans.plan import Probe, Watch
from fabfile.rendering import files
from fabfile.runner.actions.files import File, Files
from fabfile.runner.actions.probes import DataUnused, Healthy, Runs, UnitsValid
from fabfile.runner.edge.routing import destinations
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.wire.edge import HostFact
from fabfile.runner.wire.facts import Facts, Workload
from fabfile.terms import Owner

KILL_SECONDS = 10.0  # seconds that systemd may need to kill what did not end in its own time


def write_files(rendered: Iterable[files.File], *, reload: bool = False, user: str = "") -> Files:
    """The action that writes rendered files; with `reload` the system's systemd, or `user`'s, reads them."""
    contents = tuple(
        File(f.path, hashlib.sha256(f.content).hexdigest(), f.mode, f.owner, f.group, f.content) for f in rendered
    )
    return Files(contents, reload=reload, user=user)


def units_valid(rendered: Iterable[files.File], *, user: str = "") -> tuple[Probe, ...]:
    """What systemd must say of the units among rendered files once they are written: nothing."""
    return (UnitsValid(tuple(file.path for file in rendered if file.path.endswith(".service")), user),)


def as_healthy(facts: Facts, group: Iterable[Workload]) -> tuple[Probe, ...]:
    """What an undo must reach: all that ran is up again, and as healthy as it was.

    What was ill in the survey need not get better by it. But it is waited for as far as it was well: nobody is let
    through to something that is not up because its durables could not be asked about.
    """
    healthy: list[Workload] = []
    up: list[Workload] = []
    for workload in group:
        was = facts.health.get(f"{workload.runtime}/{workload.name}")
        if was is None or was.ok:
            healthy.append(workload)
        elif was.answered or (was.running and not workload.protocol):
            healthy.append(replace(workload, durables=()))
        elif was.answered is not None:
            up.append(replace(workload, durables=(), protocol=""))
        elif was.running:
            up.append(replace(workload, durables=(), protocol="", port=0))
    return (*((Healthy(tuple(healthy)),) if healthy else ()), *((Runs(tuple(up)),) if up else ()))


def data_unused(site: Site, facts: Facts, to: Owner) -> tuple[Probe, ...]:
    """What must hold before the data goes to `to`: nobody has it in use. Where `to` owns it already, its servers do."""
    return (DataUnused(tuple(server.data for server in site.servers)),) if to and facts.owner != to else ()


def awaited(site: Site, facts: Facts, group: Iterable[Workload]) -> tuple[Workload, ...]:
    """Whose health a plan waits for: all but the optional services that were healthy in neither runtime before."""
    optional = {service.name for service in site.services.values() if service.optional}
    well = {key.partition("/")[2] for key, health in facts.health.items() if health.ok}
    return tuple(workload for workload in group if workload.name not in optional or workload.name in well)


def stop_seconds(site: Site, services: Iterable[Service]) -> float:
    """Seconds for stopping services: never less than systemd gives them before it kills them."""
    return max(site.timeouts.step, *(service.stop_timeout + KILL_SECONDS for service in services))


def watches(site: Site, facts: Facts) -> tuple[Watch, ...]:
    """What the public asks for, asked on the VPS all through a plan."""
    edge, asked = site.edge, paths(site, facts)
    patience = edge.hold_limit + 15 if edge.hold else 10.0  # a request that waits in the parking lot has not failed
    return tuple(Watch(domain, "127.0.0.1", edge.https_port, domain, path, patience) for domain, path in asked.items())


def paths(site: Site, facts: Facts) -> dict[str, str]:
    """What each hostname is asked for to see whether it serves: a path that its row leads, where one is known."""
    asked = {site.edge.app_domain: site.web.health or "/", site.edge.api_domain: site.api.health or "/"}
    return {domain: _led(site, facts.edge.hosts.get(domain), path) for domain, path in asked.items()}


def _led(site: Site, fact: HostFact | None, path: str) -> str:
    if fact is None or not fact.text or fact.problem:
        return path
    prefixes = site.edge.api_prefixes if fact.domain == site.edge.app_domain else ()
    try:
        return destinations.asked_instead(fact.text, fact.path, fact.includes, fact.domain, prefixes, path)
    except StepFailed:  # which the checks show
        return path
