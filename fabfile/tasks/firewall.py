"""UFW: what the edge's network may reach, and what the world may not."""

from __future__ import annotations

from invoke.context import Context

from fabfile.commands.options import task
from fabfile.lazy import lazily

with lazily():
    import fabfile.checks.firewall
    from fabfile import survey
    from fabfile.checks import preflight
    from fabfile.commands import apply, session
    from fabfile.plans import firewall, plan


@task
def allow(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Let the edge's network reach web, API and the parking lot; delete the rules of its former subnet."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan("firewall.allow", firewall.allow(site, facts) + firewall.park(site, facts)),
        judge=preflight.unknown_subnet,
    )


@task
def close(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Close what is open to the world and need not be; names what it cannot close, with the fix."""
    apply.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan("firewall.close", firewall.close(site, facts)),
        judge=lambda site, facts: preflight.unknown_subnet(site, facts) + fabfile.checks.firewall.refusals(site, facts),
    )


@task
def audit(c: Context, host: str = "", json: bool = False) -> None:
    """List what is open to the world and need not be: native ports, the servers', NPM's admin page."""
    vps = session.begin(c, host, json=json)
    site = vps.site
    ports = tuple(site.private_ports.values())
    facts = vps.survey(survey.firewall(site, ports))
    vps.show_checks(
        "open to the world",
        fabfile.checks.firewall.public_ports(site, facts),
        "inv firewall.close --dry shows what can be closed, and how.",
    )


@task
def status(c: Context, host: str = "", json: bool = False) -> None:
    """Show whether UFW is active and whether it lets the edge reach web and API."""
    vps = session.begin(c, host, json=json)
    facts = vps.survey(survey.firewall(vps.site))
    vps.show_checks("firewall", fabfile.checks.firewall.rows(vps.site, facts))
