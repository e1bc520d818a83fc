"""The runbook: hand the app from Docker to native."""

from __future__ import annotations

from fabfile import survey, workloads
from fabfile.inventory import Site
from fabfile.plans import app, data, decisive, docker, edge, firewall, infra, parking
from fabfile.plans.plan import Plan
from fabfile.plans.steps import watches
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Scope


def cutover(site: Site, facts: Facts, scope: Scope) -> Plan:
    """Hand the scope to native. Anything but the whole app is for a VPS where native owns already."""
    lot = parking.lot(site, facts, leaving="docker", to="native")
    servers = workloads.of_servers(site, "native")
    if scope == "full":
        steps = (
            infra.install(site, facts) + app.install(site, facts) + firewall.allow(site, facts)  # no user impact
            + infra.free_ports(site, facts) + data.backup(site, facts, to="native")
            + lot.open + docker.stop_workers(site, facts)                                        # no public traffic
            + lot.park                                                                           # the hold begins
            + docker.stop_served(site, facts) + data.count(site, facts, to="native")
            + docker.stop_servers(site, facts, to="native") + data.transfer_ownership(site, facts, to="native")
            + data.keep(site, facts, to="native") + data.seal(site, facts)
            + infra.start(site, facts, 0.0, data.unproven(facts, "native")) + data.compare(site, facts, to="native")
            + app.start(site, facts, "full", servers)                                            # one settle period
            + lot.release                                                                        # the hold ends
            + edge.point(site, facts, to="native") + lot.close + data.discard(site, facts, to="native")
            + infra.enable(site, facts) + app.enable(site, facts, "full")  # earlier, a reboot would start half of it
        )  # fmt: skip
    else:
        steps = (
            app.install(site, facts) + app.enable(site, facts, scope) + app.start(site, facts, scope)
            + edge.point(site, facts, to="native")
        )  # fmt: skip
    return Plan(
        "cutover",
        steps,
        confirm_within=site.timeouts.confirm,
        hold_limit=site.edge.hold_limit,
        watch=watches(site, facts),
        workloads=workloads.everything(site, "native") + workloads.everything(site, "docker"),
        settings={"scope": scope, "to": "native", **_decisive(site, facts, scope)},
    )


def _decisive(site: Site, facts: Facts, scope: Scope) -> dict[str, str]:
    """A part that starts where the edge leads to native already hands nothing over."""
    hands_over = scope == "full" or survey.edge_runtime(site, facts) != "native"
    return {} if hands_over else decisive.of_restarts(site.scope(scope))


def bootstrap(site: Site, facts: Facts) -> Plan:
    """Native servers in place of Docker's, the app left down: the first half of a cutover, for `cutover` to end."""
    steps = (
        infra.install(site, facts) + infra.free_ports(site, facts) + data.backup(site, facts, to="native")
        + parking.names_on_revert(site, facts)
        + docker.stop_app(site, facts, "full") + data.count(site, facts, to="native")
        + docker.stop_servers(site, facts, to="native") + data.transfer_ownership(site, facts, to="native")
        + data.keep(site, facts, to="native") + data.seal(site, facts)
        + infra.start(site, facts, unproven=data.unproven(facts, "native")) + data.compare(site, facts, to="native")
        + data.discard(site, facts, to="native") + infra.enable(site, facts)
    )  # fmt: skip
    servers = workloads.of_servers(site, "native") + workloads.of_servers(site, "docker")
    return Plan("infra.bootstrap", steps, workloads=servers)
