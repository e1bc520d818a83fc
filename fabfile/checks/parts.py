"""Whether a part of the app may be handed over, started or restarted alone."""

from __future__ import annotations

from fabfile import survey
from fabfile.checks import compose, units
from fabfile.checks.preflight import no_manager
from fabfile.checks.result import Finding
from fabfile.inventory import Site
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Scope


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
