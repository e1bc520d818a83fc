"""The way back to Docker."""

from __future__ import annotations

from fabfile import workloads
from fabfile.inventory import Site
from fabfile.plans import app, data, docker, edge, infra, parking
from fabfile.plans.plan import Plan
from fabfile.plans.steps import watches
from fabfile.runner.wire.facts import Facts


def rollback(site: Site, facts: Facts) -> Plan:
    """Hand the whole app back to Docker."""
    lot = parking.lot(site, facts, leaving="native", to="docker")
    steps = (
        docker.render(site, facts) + docker.create_containers(site, facts, "full")               # no user impact
        + data.backup(site, facts, to="docker")
        + lot.open + lot.park                                                                    # the hold begins
        + app.stop(site, facts, "full") + data.count(site, facts, to="docker") + infra.stop(site, facts, to="docker")
        + data.unseal(site, facts)
        + data.transfer_ownership(site, facts, to="docker") + data.keep(site, facts, to="docker")
        + docker.up_servers(site, facts, unproven=data.unproven(facts, "docker"))
        + data.compare(site, facts, to="docker")
        + docker.up_app(site, facts, "full")
        + lot.release                                                                            # the hold ends
        + edge.point(site, facts, to="docker") + lot.close + data.discard(site, facts, to="docker")
        + app.disable(site, facts, "full") + infra.disable(site, facts)
    )  # fmt: skip
    return Plan(
        "rollback",
        steps,
        confirm_within=site.timeouts.confirm,
        hold_limit=site.edge.hold_limit,
        watch=watches(site, facts),
        workloads=workloads.everything(site, "native") + workloads.everything(site, "docker"),
        settings={"to": "docker"},
    )
