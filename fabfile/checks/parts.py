"""Whether a part of the app may be handed over, started, restarted or deployed alone."""

from __future__ import annotations

from collections.abc import Sequence

from fabfile import survey
from fabfile.checks import compose, ports, units
from fabfile.checks.preflight import changed_checkout, no_manager
from fabfile.checks.result import Finding
from fabfile.inventory import Service, Site
from fabfile.plans import deploy
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime, Scope

SPARE_BYTES = 512 << 20  # that a build must leave free


def scope_findings(site: Site, facts: Facts, scope: Scope) -> list[Finding]:
    """Why this scope cannot be handed over alone."""
    if scope == "full" or survey.owner(facts) == "native":
        return []
    return [
        Finding(
            f"--scope {scope} alone would leave the rest of the app down: native does not own it",
            "inv cutover",
        )
    ]


def native_owns(site: Site, facts: Facts) -> list[Finding]:
    """Native servers start only where native owns: the units' own condition would skip them otherwise."""
    owner = survey.owner(facts)
    if owner == "native":
        return []
    who = f"{owner} owns the app and its data" if owner else "nobody owns the app and its data yet"
    return [Finding(f"{who}, so native units would not start", "inv cutover hands it over as a whole")]


def app_may_run(site: Site, facts: Facts, scope: Scope) -> list[Finding]:
    """What stands against starting the scope's units, running or not."""
    return native_owns(site, facts) + no_manager(site, facts) + units.of_services(site, facts, scope)


def servers_may_run(site: Site, facts: Facts) -> list[Finding]:
    """What stands against starting the native servers. A container that runs beside them may have the data open."""
    return native_owns(site, facts) + units.of_servers(site, facts) + list(compose.beside_native(site, facts))


def docker_may_run(site: Site, facts: Facts) -> list[Finding]:
    """Docker's services start only where native does not own: both would open the same data."""
    if survey.owner(facts) != "native":
        return compose.findings(site, facts, "docker")
    return [Finding("native owns the app and its data", "inv rollback --full hands it back as a whole")]


def without_hold(site: Site, facts: Facts, scope: Scope) -> list[Finding]:
    """Whether native's requests fail while it restarts, since the edge leads elsewhere, or to neither."""
    names = [service.name for service in site.scope(scope) if service.port]
    if not (site.edge.hold and names) or survey.edge_runtime(site, facts) == "native":
        return []
    text = f"the edge does not lead to native as a whole: what is asked of {' and '.join(names)} meanwhile may fail"
    return [Finding(text, "`inv npm.diff --to native` says what differs; inv npm.switch --to native", warning=True)]


def may_be_deployed(
    site: Site, facts: Facts, services: Sequence[Service], runtime: Runtime, *, build: bool = True
) -> list[Finding]:
    """What stands against having these services run the commit that the survey looked up; without `build` as it is."""
    owner = survey.owner(facts)
    if owner != runtime:
        who = f"{owner} owns the app" if owner else "nobody owns the app yet"
        fix = f"inv deploy --runtime {owner}" if owner else "inv cutover, or inv docker.up"
        return [Finding(f"{who}, so nothing of {runtime} is deployed", fix)]
    result = changed_checkout(site, facts) + _unknown_commit(site, facts)
    if runtime == "native":
        result += no_manager(site, facts) + units.of_units(site, facts, services)
    else:
        result += compose.findings(site, facts, "docker") + _without_build(facts, services)
    result += _unbuilt(site, facts, services, runtime, build) + _unserved(site, facts, services, runtime)
    return list(dict.fromkeys(result))


def _unknown_commit(site: Site, facts: Facts) -> list[Finding]:
    if not facts.releases.problem:
        return []
    fix = f"push it to the remote of {site.app.checkout}, and see that git there can fetch without anybody typing"
    return [Finding(facts.releases.problem, fix)]


def _without_build(facts: Facts, services: Sequence[Service]) -> list[Finding]:
    """Services of which the Compose file does not say how their images are built, or names one by its digest."""
    in_compose = [facts.compose[service.name] for service in services if service.name in facts.compose]
    return [
        Finding(f"the Compose file does not say how the image of {s.name} is built", "leave it out, with --pieces")
        for s in in_compose
        if not s.built or "@" in s.image
    ]


def _unbuilt(site: Site, facts: Facts, services: Sequence[Service], runtime: Runtime, build: bool) -> list[Finding]:
    """Whether there is room for a build; or, where nothing may be built, whether all is built."""
    found, folder = facts.releases, site.releases.folder
    release = found.find(runtime, found.commit)
    builds = release.builds if release else ()
    lacking = [s.name for s in services if (s.build_argv or runtime == "docker") and s.name not in builds]
    running = all(deploy.runs(site, facts, service, runtime) == found.commit for service in services)
    if not build and found.commit and not running and (lacking or not (release and release.built)):
        which = f" for {', '.join(lacking)}" if release and release.built else ""
        return [Finding(f"{found.commit[:12]} is not built{which}", "leave --no-build out")]
    if found.size and found.free < found.size + SPARE_BYTES:
        needed = (found.size + SPARE_BYTES) >> 20
        text = f"only {found.free >> 20} MiB are free where {folder} is, and a build may need {needed}"
        return [Finding(text, "free some there, or set releases.folder to a place on another disk")]
    return []


def _unserved(site: Site, facts: Facts, services: Sequence[Service], runtime: Runtime) -> list[Finding]:
    """Whether web and API can be held: the edge must lead to the runtime as a whole, or else requests would fail."""
    names = [service.name for service in services if service.port]
    if not names:
        return []
    leads = survey.edge_runtime(site, facts)
    if leads == runtime:
        return ports.parking_lot(site, facts)
    return [
        Finding(
            f"the edge leads to {leads or 'neither runtime as a whole'}, so {' and '.join(names)} can't be deployed "
            "without failing requests",
            f"inv npm.switch --to {runtime}, or deploy the workers alone: --scope workers",
        )
    ]
