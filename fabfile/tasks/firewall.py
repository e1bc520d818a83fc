"""UFW: what the edge's network may reach, and what the world may not."""

from __future__ import annotations

from invoke.context import Context

from fabfile import survey
from fabfile.checks import preflight
from fabfile.checks.firewall import public_ports, refusals, rows
from fabfile.commands.options import task
from fabfile.commands.session import Operation
from fabfile.plans import firewall
from fabfile.plans.plan import Plan
from fabfile.runner.wire.facts import FactsRequest


@task
def allow(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Let the edge's network reach web, API and the parking lot; and no former network of its."""
    Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: Plan("firewall.allow", firewall.allow(site, facts) + firewall.park(site, facts)),
        judge=preflight.unknown_subnet,
    )


@task
def close(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Close what is open to the world and need not be; names what it cannot close, with the cure."""
    Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: Plan("firewall.close", firewall.close(site, facts)),
        judge=lambda site, facts: preflight.unknown_subnet(site, facts) + refusals(site, facts),
    )


@task
def audit(c: Context, host: str = "", json: bool = False) -> None:
    """List what is open to the world and need not be: native ports, the servers', NPM's admin page."""
    operation = Operation(c, host, json=json)
    site = operation.site
    ports = tuple(site.private_ports.values())
    facts = operation.survey(FactsRequest(firewall=True, ports=ports, edge=survey.edge_ref(site)))
    operation.checked(
        "open to the world", public_ports(site, facts), "inv firewall.close --dry shows what can be closed, and how."
    )


@task
def status(c: Context, host: str = "", json: bool = False) -> None:
    """Show whether UFW is active and whether it lets the edge reach web and API."""
    operation = Operation(c, host, json=json)
    facts = operation.survey(FactsRequest(firewall=True, edge=survey.edge_ref(operation.site)))
    operation.checked("firewall", rows(operation.site, facts))
