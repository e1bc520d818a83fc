"""The native servers: NATS, Redis, ClickHouse."""

from __future__ import annotations

from invoke.context import Context

from fabfile.commands.options import task
from fabfile.lazy import lazily

with lazily():
    from fabfile import survey, workloads
    from fabfile.checks import parts, preflight
    from fabfile.commands import apply, session
    from fabfile.plans import cutover, data, infra, plan


@task
def bootstrap(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Put native servers in place of Docker's; the app stays down until `cutover` or `rollback --full`."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        cutover.bootstrap, judge=lambda site, facts: preflight.findings(site, facts, "native"), versions=True
    )


@task
def install(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Install users, data directories, units and configuration of the native servers; starts nothing."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan("infra.install", infra.install(site, facts)),
        judge=preflight.missing_programs,
        versions=True,
    )


@task
def start(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Start the native servers, now and at boot, and wait until they are healthy."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan(
            "infra.start",
            infra.free_ports(site, facts)
            + infra.enable(site, facts)
            + data.seal(site, facts)
            + infra.start(site, facts),
        ),
        judge=parts.servers_may_run,
    )


@task
def stop(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Stop the native servers and keep them from starting at boot."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan("infra.stop", infra.stop(site, facts) + infra.disable(site, facts))
    )


@task
def check(c: Context, host: str = "", json: bool = False) -> None:
    """Check that the native servers are healthy: unit, process, port, answer."""
    vps = session.begin(c, host, json=json)
    group = workloads.of_servers(vps.site, "native")
    vps.check_health("native servers", survey.health_of(group, vps.site.timeouts.health))
