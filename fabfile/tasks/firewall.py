"""UFW: what the edge's network may reach."""

from __future__ import annotations

from typing import Any

from fabfile import survey
from fabfile.operation import Operation
from fabfile.options import task
from fabfile.plan import Plan
from fabfile.plans import firewall, preflight
from fabfile.runner.facts import Wanted


@task
def allow(c: Any, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Let the edge's network reach web, API and the parking lot; else its packets are dropped."""
    Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: Plan("firewall.allow", firewall.allow(site, facts) + firewall.park(site, facts)),
        judge=preflight.unknown_subnet,
    )


@task
def status(c: Any, host: str = "", json: bool = False) -> None:
    """Show whether UFW is active and whether it lets the edge reach web and API."""
    operation = Operation(c, host, json=json)
    facts = operation.survey(Wanted(firewall=True, edge=survey.edge_ref(operation.site)))
    operation.checked("firewall", firewall.checks(operation.site, facts))
