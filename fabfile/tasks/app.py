"""The native app: web, API and workers as user units."""

from __future__ import annotations

from typing import Literal

from invoke.context import Context

from fabfile.commands.options import choices, task
from fabfile.lazy import lazily
from fabfile.terms import SCOPES, Scope

with lazily():
    from fabfile import survey, workloads
    from fabfile.checks import environment, parts, ports, preflight
    from fabfile.commands import apply, session
    from fabfile.plans import app, plan, steps


@task
@choices(scope=("none", *SCOPES))
def install(
    c: Context,
    scope: Scope | Literal["none"] = "none",
    host: str = "",
    dry: bool = False,
    wait: bool = False,
    json: bool = False,
) -> None:
    """Install the app's user units and environment, the scope's to start at boot; nothing else changes."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan("app.install", app.install(site, facts, scope)),
        judge=lambda site, facts: (
            preflight.no_manager(site, facts)
            + preflight.unreadable_bridge(site, facts)
            + environment.readable(site, facts)
        ),
    )


@task
def start(
    c: Context, scope: Scope = "full", host: str = "", dry: bool = False, wait: bool = False, json: bool = False
) -> None:
    """Start the scope's services, now and at boot, and wait until they are healthy."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan("app.start", app.enable(site, facts, scope) + app.start(site, facts, scope)),
        judge=lambda site, facts: parts.app_may_run(site, facts, scope),
    )


@task
def stop(
    c: Context, scope: Scope = "full", host: str = "", dry: bool = False, wait: bool = False, json: bool = False
) -> None:
    """Stop the scope's services and keep them from starting at boot."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan("app.stop", app.stop(site, facts, scope) + app.disable(site, facts, scope)),
        judge=preflight.no_manager,
    )


@task
def restart(
    c: Context, scope: Scope = "full", host: str = "", dry: bool = False, wait: bool = False, json: bool = False
) -> None:
    """Restart the scope's services and wait until they are healthy."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan(
            "app.restart",
            app.restart(site, facts, scope),
            hold_limit=site.edge.hold_limit,
            watch=steps.watches(site, facts),
        ),
        judge=lambda site, facts: (
            parts.app_may_run(site, facts, scope)
            + ports.parking_lot(site, facts)
            + parts.without_hold(site, facts, scope)
            + preflight.edge_problems(app.restart(site, facts, scope), facts)
        ),
    )


@task
def check(c: Context, scope: Scope = "full", host: str = "", json: bool = False) -> None:
    """Check that the scope is healthy, and the servers under it unless the scope is web."""
    vps = session.begin(c, host, json=json)
    site = vps.site
    group = workloads.of_services(site, "native", site.scope(scope))
    if scope != "web":
        group = workloads.of_servers(site, "native") + group
    vps.check_health(f"native app, scope {scope}", survey.health_of(group, site.timeouts.health))
