"""The native app: user units of the app's own user."""

from __future__ import annotations

from typing import Literal

from fabfile import survey, workloads
from fabfile.inventory import Service, Site
from fabfile.plans import edge, parking
from fabfile.plans.plan import Step, Steps, Undo
from fabfile.plans.steps import as_healthy, awaited, stop_seconds, units_valid, write_files
from fabfile.rendering import files
from fabfile.runner.actions.probes import Healthy, UnitsDown
from fabfile.runner.actions.settings import WriteSettings
from fabfile.runner.actions.units import Disable, Enable, Restart, Start, Stop
from fabfile.runner.wire.facts import Facts, Workload
from fabfile.terms import Scope


def install(site: Site, facts: Facts, scope: Scope | Literal["none"] = "none") -> Steps:
    """Units and settings of every service, and the scope's start at boot; what else runs or starts stays so."""
    bind = survey.address(facts, site.runtimes.native.bind)
    rendered = files.app(site, bind=bind)
    user = site.app.user
    action = write_files(rendered, reload=True, user=user)
    boot = enable(site, facts, scope) if scope != "none" else ()
    return (
        Step("app: units and environment", action, Undo(), verify=units_valid(rendered, user=user)),
        Step("app: settings", WriteSettings(workloads.settings_file(site)), Undo()),
        *boot,
    )


def enable(site: Site, facts: Facts, scope: Scope) -> Steps:
    """Have the scope's services start at boot, where native owns."""
    return (Step("app: on at boot", Enable(_units(site.scope(scope)), site.app.user), Undo()),)


def start(site: Site, facts: Facts, scope: Scope, beside: tuple[Workload, ...] = ()) -> Steps:
    """Start the scope's services and wait until they are healthy, and so is what was started just before."""
    services = site.scope(scope)
    units, user, limit = _units(services), site.app.user, stop_seconds(site, services)
    return (
        Step(
            "app: start",
            Start(units, user, timeout=limit),
            Undo(verify=(UnitsDown(units, user),), deadline=limit),
            verify=(Healthy(beside + awaited(site, facts, _native(site, services))),),
            deadline=site.timeouts.health,
        ),
    )


def stop(site: Site, facts: Facts, scope: Scope) -> Steps:
    """Stop the scope's services."""
    services = site.scope(scope)
    units, user, limit = _units(services), site.app.user, stop_seconds(site, services)
    return (
        Step(
            "app: stop",
            Stop(units, user, timeout=limit),
            Undo(verify=as_healthy(facts, _native(site, services)), deadline=site.timeouts.health),
            verify=(UnitsDown(units, user),),
            deadline=limit,
        ),
    )


def disable(site: Site, facts: Facts, scope: Scope) -> Steps:
    """Keep the scope's services from starting at boot."""
    return (Step("app: off at boot", Disable(_units(site.scope(scope)), site.app.user), Undo()),)


def restart(site: Site, facts: Facts, scope: Scope) -> Steps:
    """Restart the scope's services, and wait until they are healthy; what is asked of web and API waits too."""
    services = site.scope(scope)
    lot = parking.lot(site, facts, leaving="native", to="native", scope=scope)
    step = Step(
        "app: restart",
        Restart(_units(services), site.app.user, timeout=stop_seconds(site, services)),
        Undo(verify=as_healthy(facts, _native(site, services)), deadline=site.timeouts.health),
        verify=(Healthy(awaited(site, facts, _native(site, services))),),
        deadline=site.timeouts.health,
    )
    back = edge.point(site, facts, to="native") if lot.services else ()
    return (*lot.open, *lot.park, step, *lot.release, *back, *lot.close)


def _native(site: Site, services: tuple[Service, ...]) -> tuple[Workload, ...]:
    return workloads.of_services(site, "native", services)


def _units(services: tuple[Service, ...]) -> tuple[str, ...]:
    return tuple(service.unit for service in services)
