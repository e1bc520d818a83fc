"""What the edge needs of UFW."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fabfile.inventory import Service, Site
from fabfile.plan import Step, Steps, Undo
from fabfile.runner.actions.firewall import Allow
from fabfile.runner.facts import Facts


def allow(site: Site, facts: Facts) -> Steps:
    """Let the edge's network reach web and API on the host; without it their packets are dropped unseen."""
    subnet = str(facts.edge.get("network", {}).get("subnet", ""))
    services = [service for service in site.scope("full") if service.port]
    return tuple(
        Step(
            f"firewall: {subnet} to {service.name}",
            Allow(subnet, service.port or 0, site.firewall.comment_for(service)),
            Undo(),
        )
        for service in services
    )


def park(site: Site, facts: Facts, services: Iterable[Service] | None = None) -> Steps:
    """Let the edge's network reach the parking lot of these services, of all if None."""
    subnet = str(facts.edge.get("network", {}).get("subnet", ""))
    return tuple(
        Step(
            f"firewall: {subnet} to {service.name}'s parking lot",
            Allow(subnet, service.parking_port or 0, f"{site.firewall.comment_for(service)} parking"),
            Undo(),
        )
        for service in (site.scope("full") if services is None else services)
        if service.parking_port and site.edge.hold
    )


def checks(site: Site, facts: Facts) -> Iterator[tuple[str, bool, str]]:
    """Rows (what, good or not, evidence): UFW itself, and each port that the edge has to reach."""
    if facts.firewall_error:
        yield "UFW", False, facts.firewall_error
        return
    state = f"active, {len(facts.rules)} rules" if facts.firewall_active else "not active: nothing filters"
    yield "UFW", True, state if facts.firewall_present else "not installed: nothing of it filters"
    for step in allow(site, facts):
        settled = step.action.settled(facts)
        yield (
            step.name,
            bool(settled),
            settled or f"dropped; `inv firewall.allow` runs: {step.action.describe()}",
        )
