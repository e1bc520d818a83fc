"""Cutover and rollback: their order, their scopes, and what undoing them demands."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from fabfile.checks import parts, preflight
from fabfile.checks.parts import scope_findings
from fabfile.checks.preflight import changed_checkout
from fabfile.inventory import Backup, Site
from fabfile.plans import app, cutover, decisive, deploy, docker, infra, rollback
from fabfile.plans.plan import Plan, Step, Undo, judge
from fabfile.runner.actions import backup
from fabfile.runner.actions.compose import Down, Up
from fabfile.runner.actions.data import ChangeOwnership, SetOwner
from fabfile.runner.actions.edge_point import PointEdge
from fabfile.runner.actions.files import Files
from fabfile.runner.actions.firewall import AllowRule
from fabfile.runner.actions.probes import ContainersDown, DataUnused, Healthy, PortsFree, Runs, UnitsDown
from fabfile.runner.actions.units import Enable, Start, Stop
from fabfile.runner.wire.facts import Facts, Health
from fabfile.terms import Runtime, Scope
from tests.support import inventories
from tests.support.facts import COMMIT


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def step_of(plan: Plan, name: str) -> Step:
    (found,) = (step for step in plan.steps if step.name == name)
    return found


def in_order(plan: Plan, *some: str) -> bool:
    places = [names(plan).index(name) for name in some]
    return places == sorted(places)


def test_all_public_checks_decide_on_a_hand_over(site: Site, fresh: Facts, native_serves: Facts) -> None:
    led_elsewhere = dataclasses.replace(native_serves, edge=fresh.edge)
    plans = [cutover.cutover(site, fresh, "full"), cutover.cutover(site, led_elsewhere, "workers")]
    for plan in (*plans, rollback.rollback(site, native_serves)):
        assert not decisive.compares(plan) and decisive.excuse(plan.settings)("page") == ""
        assert decisive.words(plan) == f"unless they pass within {site.timeouts.confirm:g} s, all is undone"


def test_cutover_reads_as_the_runbook(site: Site, fresh: Facts) -> None:
    plan = cutover.cutover(site, fresh, "full")
    assert names(plan) == [
        "infra: users",
        "infra: folders",
        "infra: units and configuration",
        "app: units and environment",
        "app: settings",
        "firewall: 172.18.0.0/16 to web",
        "firewall: 172.18.0.0/16 to api",
        "infra: packages' units off at boot",
        "infra: packages' units stopped",
        "firewall: 172.18.0.0/16 to web's parking lot",
        "firewall: 172.18.0.0/16 to api's parking lot",
        "edge: parking lot opened",
        "docker: workers stopped",
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
        "edge: point to native",
        "edge: parking lot closed",
        "data: kept copy deleted",
        "infra: on at boot",
        "app: on at boot",
    ]
    assert plan.confirm_within == site.timeouts.confirm
    assert [watch.domain for watch in plan.watch] == [site.edge.app_domain, site.edge.api_domain]


def test_rollback_is_the_way_back(site: Site, native_serves: Facts) -> None:
    plan = rollback.rollback(site, native_serves)
    assert names(plan) == [
        "docker: overlay",
        "docker: containers made",
        "firewall: 172.18.0.0/16 to web's parking lot",
        "firewall: 172.18.0.0/16 to api's parking lot",
        "edge: parking lot opened",
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
        "edge: point to docker",
        "edge: parking lot closed",
        "data: kept copy deleted",
        "app: off at boot",
        "infra: off at boot",
    ]
    assert plan.confirm_within == site.timeouts.confirm


@pytest.mark.parametrize("to", ["native", "docker"])
def test_never_two_owners_and_no_server_on_data_that_is_not_its_own(
    site: Site, to: Runtime, docker_serves: Facts, native_serves: Facts
) -> None:
    plan = cutover.cutover(site, docker_serves, "full") if to == "native" else rollback.rollback(site, native_serves)
    kinds = [type(step.action) for step in plan.steps]
    seal = next(n for n, step in enumerate(plan.steps) if step.name in ("data: sealed", "data: unsealed"))
    stops = [
        n
        for n, step in enumerate(plan.steps)
        if isinstance(step.action, Stop | Down) and "packages" not in step.name and n != seal
    ]
    starts = [n for n, kind in enumerate(kinds) if kind in (Start, Up) and n != seal]
    handing, owner = kinds.index(ChangeOwnership), kinds.index(SetOwner)
    assert max(stops) < handing < owner < min(starts), "stopped, handed over, owned, started"
    to_lot, to_runtime = (n for n, kind in enumerate(kinds) if kind is PointEdge)
    *workers_stop, app_stop, server_stop = stops
    assert to_lot < app_stop and max(starts) < to_runtime, "the edge never leads to what is down"
    assert ["workers" in plan.steps[n].name for n in workers_stop] == ([True] if to == "native" else [])
    assert "app" in plan.steps[app_stop].name and "server" in plan.steps[server_stop].name + "server"
    server_start, app_start = starts
    assert server_start < app_start
    assert owner < seal < server_start if to == "native" else server_stop < seal < handing
    for number in (*stops, seal, *starts):
        assert plan.steps[number].verify, "nothing is believed unseen"
    assert all(n < min(stops) for n, kind in enumerate(kinds) if kind in (Files, AllowRule)), "prepared before"


def test_stopping_is_verified_with_the_ports_and_with_who_has_the_data_open(site: Site, native_serves: Facts) -> None:
    verify = step_of(rollback.rollback(site, native_serves), "infra: stop").verify
    assert [type(probe) for probe in verify] == [UnitsDown, PortsFree, DataUnused]
    assert PortsFree((4222, 6379, 8123)) in verify
    assert DataUnused(tuple(server.data for server in site.servers)) in verify


def test_servers_alone_may_be_stopped_while_others_have_the_data_open(site: Site, native_serves: Facts) -> None:
    """Docker's servers are stopped by `docker.stop` while native owns."""
    for steps in (docker.stop(site, native_serves, "full"), infra.stop(site, native_serves)):
        assert not [probe for step in steps for probe in step.verify if isinstance(probe, DataUnused)]


def test_starting_means_healthy_with_durables_and_ports(site: Site, docker_serves: Facts) -> None:
    (probe,) = step_of(cutover.cutover(site, docker_serves, "full"), "app: start").verify
    assert isinstance(probe, Healthy)
    workloads = {workload.name: workload for workload in probe.workloads}
    servers = {server.name for server in site.servers}
    assert set(workloads) == set(site.services) | servers, "that servers stay up is seen with the app, which waits less"
    assert (workloads["api"].port, workloads["api"].path) == (4000, "/health")
    assert len(workloads["api"].durables) == 5
    assert workloads["compute"].durables and workloads["compute"].nats
    assert {name for name, workload in workloads.items() if workload.user == "delta"} == set(site.services)


def test_a_container_is_asked_on_its_own_port(site: Site, native_serves: Facts) -> None:
    nats = site.infra.nats.model_copy(update={"image_port": 14222})
    other = site.model_copy(update={"infra": site.infra.model_copy(update={"nats": nats})})
    (probe,) = step_of(rollback.rollback(other, native_serves), "docker: servers up").verify
    assert isinstance(probe, Healthy)
    assert [workload.port for workload in probe.workloads] == [14222, 6379, 8123]


def backed(site: Site, **values: Any) -> Site:
    """An inventory that names a backup."""
    return site.model_copy(update={"backup": Backup(hook="/usr/local/sbin/save", argv=("--fast",), **values)})


def test_the_backup_runs_before_anything_is_stopped(site: Site, docker_serves: Facts, native_serves: Facts) -> None:
    own = backed(site)
    changes: tuple[tuple[Plan, str, str, Runtime], ...] = (
        (cutover.cutover(own, docker_serves, "full"), "docker: workers stopped", "docker", "native"),
        (cutover.bootstrap(own, docker_serves), "docker: app stopped", "docker", "native"),
        (rollback.rollback(own, native_serves), "app: off at boot", "native", "docker"),
    )
    for plan, stop, former, to in changes:
        assert in_order(plan, "data: backup", stop)
        step = step_of(plan, "data: backup")
        root = "/var/lib/islandflow"
        assert step.action == backup.Backup(("/usr/local/sbin/save", "--fast"), root, former, to, 600.0)


def test_where_nothing_changes_hands_nothing_is_backed_up(
    site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    own = backed(site)
    assert "data: backup" not in names(cutover.cutover(own, native_serves, "full"))
    assert "data: backup" not in names(cutover.cutover(own, native_serves, "api"))
    assert "data: backup" not in names(rollback.rollback(own, docker_serves))
    assert "data: backup" not in names(cutover.cutover(site, docker_serves, "full")), "none is named"


def test_a_backup_may_be_for_the_first_hand_over_only(site: Site, fresh: Facts, docker_serves: Facts) -> None:
    own = backed(site, before="the first hand-over")
    assert "data: backup" in names(cutover.cutover(own, fresh, "full"))
    assert "data: backup" not in names(cutover.cutover(own, docker_serves, "full"))


def test_data_goes_to_the_new_owners_users(site: Site, docker_serves: Facts, native_serves: Facts) -> None:
    there = step_of(cutover.cutover(site, docker_serves, "full"), "data: to native's servers").action
    back = step_of(rollback.rollback(site, native_serves), "data: to docker's servers").action
    assert isinstance(there, ChangeOwnership) and isinstance(back, ChangeOwnership)
    assert there.owners == ("nats", "redis", "clickhouse")
    assert back.owners == ("0:0", "999:1000", "101:101")
    assert there.trees == back.trees == tuple(f"/var/lib/islandflow/{name}" for name in there.owners)


def test_docker_comes_back_as_healthy_as_it_was(site: Site, docker_serves: Facts) -> None:
    """A service that crash-looped before must not keep the way back from ending well."""
    ill = {"docker/ingest-options": Health("ingest-options", "docker", False, "container is restarting")}
    facts = dataclasses.replace(docker_serves, health={**docker_serves.health, **ill})
    assert demanded_back(cutover.cutover(site, facts, "full")) == set(site.services) - {"ingest-options"}
    assert demanded_back(cutover.cutover(site, docker_serves, "full")) == set(site.services)


@pytest.mark.parametrize(
    ("data", "demanded"),
    [
        ({"state": "running", "answered": True}, Healthy),
        ({"state": "running", "answered": False}, Runs),
        ({"state": "running"}, Runs),
        ({"state": "restarting"}, None),
        ({}, None),
    ],
    ids=["its durables can't be told", "it did not answer", "it did not listen", "it looped", "there was none"],
)
def test_the_way_back_waits_for_whatever_ran_as_far_as_it_was_well(
    site: Site, docker_serves: Facts, data: dict[str, Any], demanded: type | None
) -> None:
    """Nobody must be let through to an API that is not up again, because NATS could not be asked about it."""
    ill = Health("api", "docker", False, "ill", **data)
    facts = dataclasses.replace(docker_serves, health={**docker_serves.health, "docker/api": ill})
    plan = cutover.cutover(site, facts, "full")
    undo = step_of(plan, "docker: app stopped").undo
    assert isinstance(undo, Undo)
    probes = {
        w.name: (probe, w) for probe in undo.verify if isinstance(probe, (Healthy, Runs)) for w in probe.workloads
    }
    assert isinstance(probes["web"][0], Healthy), "the others are waited for as ever"
    assert ("api" in probes) == (demanded is not None)
    if demanded:
        probe, api = probes["api"]
        assert isinstance(probe, demanded) and not api.durables
        assert bool(api.protocol) == bool(data.get("answered")) and bool(api.port) == ("answered" in data)
    (park,) = (step for step in plan.steps if step.hold == "begins")
    assert isinstance(park.undo, Undo) and bool(park.undo.verify) == bool(data.get("answered"))


def demanded_back(plan: Plan) -> set[str]:
    """Who must be healthy again when the stops of Docker's app are undone."""
    undos = [step_of(plan, f"docker: {what} stopped").undo for what in ("workers", "app")]
    probes = [probe for undo in undos if isinstance(undo, Undo) for probe in undo.verify]
    assert len(probes) == 2
    return {workload.name for probe in probes if isinstance(probe, Healthy) for workload in probe.workloads}


def test_nobody_waits_while_workers_stop(site: Site, docker_serves: Facts) -> None:
    plan = cutover.cutover(site, docker_serves, "full")
    workers, rest = (step_of(plan, f"docker: {what} stopped").action for what in ("workers", "app"))
    assert isinstance(workers, Down) and isinstance(rest, Down)
    assert set(rest.services) == {"web", "api"} and set(workers.services) == set(site.services) - {"web", "api"}
    assert in_order(
        plan,
        "edge: parking lot opened",  # which may take its time to tell websockets from requests
        "docker: workers stopped",
        "edge: point to the parking lot",
        "docker: app stopped",
        "docker: servers stopped",
    )


def test_nothing_healthy_before_demands_nothing_of_the_way_back(site: Site, native_serves: Facts) -> None:
    for step in docker.stop(site, native_serves, "full"):
        assert isinstance(step.undo, Undo) and step.undo.verify == ()
        assert isinstance(step.verify[0], ContainersDown)


# ── Scopes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("scope", "services"),
    [
        ("web", ["web"]),
        ("api", ["api"]),
        ("workers", ["compute", "candles", "ingest-options", "ingest-equities"]),
        ("services", ["api", "compute", "candles", "ingest-options", "ingest-equities"]),
    ],
)
def test_a_scope_touches_its_own_services_and_neither_servers_nor_data(
    site: Site, scope: Scope, services: list[str], native_serves: Facts
) -> None:
    plan = cutover.cutover(site, native_serves, scope)
    installed, started = ["app: units and environment", "app: settings"], ["app: on at boot", "app: start"]
    assert names(plan) == [*installed, *started, "edge: point to native"]
    for step in plan.steps[2:4]:
        assert isinstance(step.action, Start | Enable)
        assert step.action.units == tuple(f"islandflow-{name}.service" for name in services)
    assert plan.settings["scope"] == scope
    assert bool(decisive.excuse(plan.settings)("page")) is (scope == "workers"), "the edge leads to native already"


@pytest.mark.parametrize("scope", ["web", "api", "services", "workers"])
def test_a_part_of_the_app_is_handed_over_only_where_native_owns(
    site: Site, scope: Scope, docker_serves: Facts, fresh: Facts, native_serves: Facts
) -> None:
    for facts in (docker_serves, fresh):
        (finding,) = scope_findings(site, facts, scope)
        assert "would leave the rest of the app down" in finding.text and not finding.warning
        assert scope_findings(site, facts, "full") == []
    assert scope_findings(site, native_serves, scope) == []


def test_docker_starts_only_where_native_does_not_own(
    site: Site, docker_serves: Facts, fresh: Facts, native_serves: Facts
) -> None:
    (finding,) = parts.docker_may_run(site, native_serves)
    assert "inv rollback --full" in finding.fix
    assert parts.docker_may_run(site, docker_serves) == parts.docker_may_run(site, fresh) == []
    assert parts.native_owns(site, native_serves) == []
    for facts in (docker_serves, fresh):
        (finding,) = parts.native_owns(site, facts)
        assert "docker owns" in finding.text and "inv cutover" in finding.fix


def test_stopping_a_part_of_docker_leaves_its_servers(site: Site, docker_serves: Facts) -> None:
    assert [step.name for step in docker.stop(site, docker_serves, "web")] == ["docker: app stopped"]


def test_every_half_can_be_run_again_and_turned_round(site: Site, docker_serves: Facts, native_serves: Facts) -> None:
    there, back = cutover.cutover(site, native_serves, "full"), rollback.rollback(site, docker_serves)
    assert not judge(there, native_serves).changes and not judge(back, docker_serves).changes
    turned = judge(cutover.cutover(site, docker_serves, "full"), docker_serves).no_ops
    assert "edge: point to native" not in turned and "docker: app stopped" not in turned
    assert {"infra: users", "infra: folders", "app: units and environment"} <= set(turned), "installed already"


def test_only_what_builds_write_is_no_change_of_somebody_s(site: Site, native_serves: Facts) -> None:
    assert native_serves.checkout
    for changed, found in (("apps/web/next-env.d.ts", False), ("apps/web/next.config.ts", True)):
        checkout = dataclasses.replace(native_serves.checkout, changed=(changed,))
        facts = dataclasses.replace(native_serves, checkout=checkout)
        assert bool(changed_checkout(site, facts)) == found


def test_untracked_files_refuse_a_deploy_unless_the_inventory_allows_them(tmp_path: Path, native_serves: Facts) -> None:
    lenient = inventories.site(tmp_path, {"releases": {"untracked": ["deployment/docker/*.tar.gz", "notes/"]}})
    assert native_serves.checkout
    for untracked, found in (("notes/", False), ("deployment/docker/signal.tar.gz", False), ("src/new.ts", True)):
        checkout = dataclasses.replace(native_serves.checkout, untracked=(untracked,))
        findings = changed_checkout(lenient, dataclasses.replace(native_serves, checkout=checkout))
        assert bool(findings) == found and all(untracked in finding.text for finding in findings)


@pytest.mark.parametrize("was_well", [True, False])
def test_an_optional_service_may_be_ill_after_a_hand_over_if_it_was_before(
    tmp_path: Path, docker_serves: Facts, was_well: bool
) -> None:
    lenient = inventories.site(tmp_path, {"services.candles.optional": True})
    ill = Health("candles", "docker", was_well, "its container restarts again and again")
    facts = dataclasses.replace(docker_serves, health={**docker_serves.health, "docker/candles": ill})
    step = step_of(cutover.cutover(lenient, facts, "full"), "app: start")
    assert isinstance(step.action, Start) and "islandflow-candles.service" in step.action.units
    (probe,) = step.verify
    assert isinstance(probe, Healthy) and ("candles" in [w.name for w in probe.workloads]) == was_well
    warned = [finding for finding in preflight.findings(lenient, facts, "native") if "optional" in finding.text]
    assert [finding.warning for finding in warned] == ([] if was_well else [True])


def test_no_step_that_stops_services_gives_up_before_systemd_does(tmp_path: Path, native_serves: Facts) -> None:
    slow = inventories.site(
        tmp_path, {"timeouts.step": 5, "services.candles.stop_timeout": 40, "services.web.stop_timeout": 30}
    )
    (stop,) = app.stop(slow, native_serves, "full")
    (start,) = app.start(slow, native_serves, "full")
    switched = step_of(deploy.deploy(slow, native_serves, "v1", [slow.web], "ann"), f"app: web to {COMMIT[:12]}")
    (servers,) = infra.stop(slow, native_serves)
    restart = next(step for step in app.restart(slow, native_serves, "web") if step.name == "app: restart")
    assert isinstance(start.undo, Undo)
    limits = {"stop": stop.action.timeout, "stopped": stop.deadline, "started": start.undo.deadline}  # type: ignore[attr-defined]
    assert limits == dict.fromkeys(limits, 50)
    assert restart.action.timeout == switched.action.timeout == 40  # type: ignore[attr-defined]
    assert servers.action.timeout == servers.deadline == 40  # type: ignore[attr-defined]


def test_servers_that_own_their_data_already_are_never_killed(site: Site, native_serves: Facts) -> None:
    """A cutover that is run once more: nothing is counted, so that nothing could ever be shown."""
    start = step_of(cutover.cutover(site, native_serves, "full"), "infra: start").action
    assert isinstance(start, Start) and not start.unproven
    again = step_of(rollback.rollback(site, dataclasses.replace(native_serves, owner="docker")), "docker: servers up")
    assert isinstance(again.action, Up) and not again.action.unproven
    first = step_of(rollback.rollback(site, native_serves), "docker: servers up").action
    assert isinstance(first, Up) and first.unproven
