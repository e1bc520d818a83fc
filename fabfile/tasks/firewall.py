"""UFW: what the edge's network may reach, and what the world may not."""

from __future__ import annotations

from invoke.context import Context

from fabfile.commands.options import task
from fabfile.lazy import lazily

with lazily():
    from fabfile import survey
    from fabfile.checks import firewall as open_ports
    from fabfile.checks import preflight
    from fabfile.commands import session
    from fabfile.plans import firewall, plan
    from fabfile.runner.wire import facts as wire


@task
def allow(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Let the edge's network reach web, API and the parking lot; and no former network of its."""
    session.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan("firewall.allow", firewall.allow(site, facts) + firewall.park(site, facts)),
        judge=preflight.unknown_subnet,
    )


@task
def close(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Close what is open to the world and need not be; names what it cannot close, with the cure."""
    session.Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: plan.Plan("firewall.close", firewall.close(site, facts)),
        judge=lambda site, facts: preflight.unknown_subnet(site, facts) + open_ports.refusals(site, facts),
    )


@task
def audit(c: Context, host: str = "", json: bool = False) -> None:
    """List what is open to the world and need not be: native ports, the servers', NPM's admin page."""
    operation = session.Operation(c, host, json=json)
    site = operation.site
    ports = tuple(site.private_ports.values())
    facts = operation.survey(wire.FactsRequest(firewall=True, ports=ports, edge=survey.edge_ref(site)))
    operation.checked(
        "open to the world",
        open_ports.public_ports(site, facts),
        "inv firewall.close --dry shows what can be closed, and how.",
    )


@task
def status(c: Context, host: str = "", json: bool = False) -> None:
    """Show whether UFW is active and whether it lets the edge reach web and API."""
    operation = session.Operation(c, host, json=json)
    facts = operation.survey(wire.FactsRequest(firewall=True, edge=survey.edge_ref(operation.site)))
    operation.checked("firewall", open_ports.rows(operation.site, facts))
