"""When requests wait, where they go on to, and when there is nothing to wait for."""

from __future__ import annotations

import dataclasses

import pytest

from fabfile import survey
from fabfile.checks import parts
from fabfile.inventory import Site
from fabfile.plans import app, cutover, parking, rollback
from fabfile.plans.plan import Plan, Steps, Undo
from fabfile.runner.actions.edge import EdgeServes, RefreshDnsOnRevert
from fabfile.runner.actions.edge_point import PointEdge
from fabfile.runner.actions.parking import CloseLot, Drain, OpenLot, ReleaseLot
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Scope
from tests.support.facts import changed

LOT = (OpenLot, Drain, ReleaseLot, CloseLot)


def held(steps: Steps) -> list[str]:
    """The steps during which requests wait, the first and the last included."""
    holds = [step.hold for step in steps]
    return [step.name for step in steps[holds.index("begins") : holds.index("ends") + 1]]


def action(steps: Steps, kind: type) -> object:
    (found,) = (step.action for step in steps if isinstance(step.action, kind))
    return found


def unheld(site: Site) -> Site:
    return site.model_copy(update={"edge": site.edge.model_copy(update={"hold": False})})


def test_only_stopping_handing_and_starting_are_inside_the_hold(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    assert held(cutover.cutover(site, docker_serves, "full").steps) == [
        "edge: point to the parking lot",
        "edge: docker drained",
        "docker: app stopped",
        "data: counted",
        "docker: servers stopped",
        "data: to native's servers",
        "data: owner native",
        "data: kept aside",
        "data: sealed",
        "infra: start",
        "data: all there",
        "app: start",
        "edge: parked requests to native",
    ]
    assert held(rollback.rollback(site, native_serves).steps) == [
        "edge: point to the parking lot",
        "edge: native drained",
        "app: stop",
        "data: counted",
        "infra: stop",
        "data: unsealed",
        "data: to docker's servers",
        "data: owner docker",
        "data: kept aside",
        "docker: servers up",
        "data: all there",
        "docker: app up",
        "edge: parked requests to docker",
    ]


def test_the_parked_go_to_the_new_runtime_and_to_the_former_one_on_the_way_back(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    gateway = survey.address(docker_serves, "bridge")
    native, docker = [(gateway, 3000), (gateway, 4000)], [("127.0.0.1", 3000), ("127.0.0.1", 4000)]
    for plan, former, new in (
        (cutover.cutover(site, docker_serves, "full"), docker, native),
        (rollback.rollback(site, native_serves), native, docker),
    ):
        drained, freed = action(plan.steps, Drain), action(plan.steps, ReleaseLot)
        assert isinstance(drained, Drain) and isinstance(freed, ReleaseLot)
        assert [(e.host, e.host_port) for e in drained.exits] == former
        assert [(e.host, e.host_port) for e in freed.exits] == new
        assert [e.port for e in drained.exits] == [e.port for e in freed.exits] == [13000, 14000]


def test_a_native_app_on_every_address_is_reached_by_the_hosts_own(site: Site, docker_serves: Facts) -> None:
    native = site.runtimes.native.model_copy(update={"bind": "0.0.0.0"})
    everywhere = site.model_copy(update={"runtimes": site.runtimes.model_copy(update={"native": native})})
    freed = action(cutover.cutover(everywhere, docker_serves, "full").steps, ReleaseLot)
    assert isinstance(freed, ReleaseLot) and {exit.host for exit in freed.exits} == {"127.0.0.1"}


def test_the_way_back_ends_with_the_public_served_as_before(site: Site, docker_serves: Facts) -> None:
    plan = cutover.cutover(site, docker_serves, "full")
    step = next(step for step in plan.steps if step.hold == "begins")
    assert isinstance(step.undo, Undo) and isinstance(step.undo.verify[0], EdgeServes)
    assert {host.domain for host in step.undo.verify[0].hosts} == {site.edge.app_domain, site.edge.api_domain}
    ill = dataclasses.replace(docker_serves.health["docker/web"], ok=False)
    facts = changed(docker_serves, health={"docker/web": ill})
    step = next(step for step in cutover.cutover(site, facts, "full").steps if step.hold == "begins")
    assert isinstance(step.undo, Undo) and not step.undo.verify, "what was ill before need not get well by it"


def test_nobody_waits_where_nothing_is_handed_over(site: Site, native_serves: Facts, docker_serves: Facts) -> None:
    for plan in (cutover.cutover(site, native_serves, "full"), rollback.rollback(site, docker_serves)):
        assert not [step for step in plan.steps if isinstance(step.action, (*LOT, RefreshDnsOnRevert))]


def test_without_a_hold_the_names_are_looked_up_anew_on_the_way_back(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    there = cutover.cutover(unheld(site), docker_serves, "full")
    kinds = [type(step.action) for step in there.steps]
    assert not set(kinds).intersection(LOT)
    assert kinds.index(RefreshDnsOnRevert) < [step.name for step in there.steps].index("docker: app stopped")
    back = rollback.rollback(unheld(site), native_serves)
    assert not {type(step.action) for step in back.steps}.intersection((*LOT, RefreshDnsOnRevert)), (
        "native has no names"
    )


@pytest.mark.parametrize(("scope", "ports"), [("api", [14000]), ("web", [13000]), ("full", [13000, 14000])])
def test_a_restart_holds_what_it_restarts_and_nothing_else(
    site: Site, native_serves: Facts, scope: Scope, ports: list[int]
) -> None:
    steps = app.restart(site, native_serves, scope)
    to_lot, back = (step.action for step in steps if isinstance(step.action, PointEdge))
    assert isinstance(to_lot, PointEdge) and isinstance(back, PointEdge)
    page, raw = to_lot.hosts
    parked = {port for port in (page.upstream_port, page.route_port, raw.upstream_port) if port > 10000}
    assert sorted(parked) == ports
    assert all(port in (3000, 4000) for host in back.hosts for port in (host.upstream_port, host.route_port) if port)
    assert Plan("app.restart", steps).steps[-1].name == "edge: parking lot closed"


def test_workers_have_nothing_to_park_and_a_restart_never_moves_the_edge(
    site: Site, native_serves: Facts, docker_serves: Facts
) -> None:
    assert [step.name for step in app.restart(site, native_serves, "workers")] == ["app: restart"]
    elsewhere = dataclasses.replace(native_serves, edge=docker_serves.edge)
    assert [step.name for step in app.restart(site, elsewhere, "api")] == ["app: restart"]


def test_a_restart_that_cannot_be_held_is_told(site: Site, native_serves: Facts, docker_serves: Facts) -> None:
    elsewhere = dataclasses.replace(native_serves, edge=docker_serves.edge)
    assert parts.without_hold(site, native_serves, "full") == parts.without_hold(site, elsewhere, "workers") == []
    assert parts.without_hold(unheld(site), elsewhere, "full") == [], "it was chosen so"
    (finding,) = parts.without_hold(site, elsewhere, "api")
    assert finding.warning and "what is asked of api meanwhile may fail" in finding.text


def test_a_place_that_answers_nothing_yet_is_only_asked_for_a_connection(site: Site, docker_serves: Facts) -> None:
    lot = parking.lot(site, docker_serves, leaving="docker", to="native")
    step = next(step for step in lot.park if isinstance(step.action, PointEdge))
    assert isinstance(step.action, PointEdge)
    assert {(host.probe_path, host.expect_header) for host in step.action.hosts} == {("", "")}
