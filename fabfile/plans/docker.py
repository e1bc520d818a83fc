"""The Docker runtime: the Compose project."""

from __future__ import annotations

from fabfile import workloads
from fabfile.inventory import Site
from fabfile.plans.plan import NothingToUndo, Probe, Step, Steps, Undo
from fabfile.plans.steps import as_healthy, awaited, data_unused, write_files
from fabfile.rendering import files
from fabfile.runner.actions.compose import Down, Make, Up
from fabfile.runner.actions.files import Gone
from fabfile.runner.actions.probes import ContainersDown, Healthy
from fabfile.runner.wire.facts import Facts, Workload
from fabfile.terms import Owner, Scope


def render(site: Site, facts: Facts) -> Steps:
    """The overlay that the inventory's overrides need. Without any there is none: the app's own file runs as it is."""
    overlay = files.overlay(site)
    gone = Gone((site.runtimes.docker.overlay_file,), "there is no overlay: the app's own Compose file runs as it is")
    return (Step("docker: overlay", write_files(overlay) if overlay else gone, Undo()),)


def create_containers(site: Site, facts: Facts, scope: Scope) -> Steps:
    """Make the containers that are missing or out of date, servers' and services'; nothing is started."""
    names = _names(workloads.of_servers(site, "docker") + _app(site, scope))
    action = Make(workloads.project(site), names, timeout=site.timeouts.step)
    return (Step("docker: containers made", action, NothingToUndo("a container that never started holds nothing")),)


def up(site: Site, facts: Facts, scope: Scope) -> Steps:
    """Bring the servers up, then the scope's services, each awaited until it is healthy."""
    return up_servers(site, facts) + up_app(site, facts, scope)


def up_servers(site: Site, facts: Facts, *, unproven: bool = False) -> Steps:
    """Bring the servers up. With `unproven` it is still to be shown that they have all their data."""
    return _up(site, facts, "servers", workloads.of_servers(site, "docker"), unproven)


def up_app(site: Site, facts: Facts, scope: Scope) -> Steps:
    """Bring the scope's services up."""
    return _up(site, facts, "app", _app(site, scope))


def stop(site: Site, facts: Facts, scope: Scope) -> Steps:
    """Stop the scope's services, then, with the whole app, the servers."""
    return stop_app(site, facts, scope) + (stop_servers(site, facts) if scope == "full" else ())


def stop_app(site: Site, facts: Facts, scope: Scope) -> Steps:
    """Stop the scope's services."""
    return _stop(site, facts, "app", _app(site, scope))


def stop_workers(site: Site, facts: Facts) -> Steps:
    """Stop the services without a port before anybody has to wait: Docker takes its time for each container."""
    return _stop(site, facts, "workers", tuple(w for w in _app(site, "full") if not w.port))


def stop_served(site: Site, facts: Facts) -> Steps:
    """Stop the services that `stop_workers` has left: those that requests are sent to."""
    return _stop(site, facts, "app", tuple(w for w in _app(site, "full") if w.port))


def stop_servers(site: Site, facts: Facts, *, to: Owner = "") -> Steps:
    """Stop the servers. Where their data goes `to` another owner next, nobody else may have it in use either."""
    return _stop(site, facts, "servers", workloads.of_servers(site, "docker"), data_unused(site, facts, to))


def _up(site: Site, facts: Facts, what: str, group: tuple[Workload, ...], unproven: bool = False) -> Steps:
    names = _names(group)
    return (
        Step(
            f"docker: {what} up",
            Up(workloads.project(site), names, timeout=site.timeouts.step, unproven=unproven),
            Undo(verify=(ContainersDown(site.runtimes.docker.project, names),), deadline=site.timeouts.step),
            verify=(Healthy(awaited(site, facts, group)),),
            deadline=site.timeouts.health,
        ),
    )


def _stop(site: Site, facts: Facts, what: str, group: tuple[Workload, ...], besides: tuple[Probe, ...] = ()) -> Steps:
    names = _names(group)
    return (
        Step(
            f"docker: {what} stopped",
            Down(workloads.project(site), names, timeout=site.timeouts.step),
            Undo(verify=as_healthy(facts, group), deadline=site.timeouts.health),
            verify=(ContainersDown(site.runtimes.docker.project, names), *besides),
            deadline=site.timeouts.step,
        ),
    )


def _app(site: Site, scope: Scope) -> tuple[Workload, ...]:
    return workloads.of_services(site, "docker", site.scope(scope))


def _names(group: tuple[Workload, ...]) -> tuple[str, ...]:
    return tuple(workload.name for workload in group)
