"""Where things stand, from one survey: owner, edge, health of both runtimes, and what the operator should know."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
import rich.console

from fabfile import workloads
from fabfile.commands import status
from fabfile.console import Console
from fabfile.inventory import Site
from fabfile.runner.wire.edge import EdgeFacts, EdgeNetwork, HostFact, ProxyHost, Upstream
from fabfile.runner.wire.facts import Facts, Health, Listener, Unit, Workload
from fabfile.runner.wire.firewall import Firewall
from fabfile.runner.wire.settings import SettingsFileFact
from fabfile.runner.wire.store import LockHolder, StoreState
from tests.support import inventories
from tests.support.entry_points import islandflow
from tests.support.facts import container, unit
from tests.support.fake_host import GOOD_HOST, FakeHost

GATEWAY = "172.18.0.1"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return inventories.site(tmp_path)


def edge(site: Site, *upstreams: Upstream) -> EdgeFacts:
    """What a survey tells of an edge that sends our two names there."""
    names = (site.edge.app_domain, site.edge.api_domain)
    hosts = {name: HostFact(name, upstream=place) for name, place in zip(names, upstreams, strict=True)}
    return EdgeFacts(network=EdgeNetwork(GATEWAY), hosts=hosts)


def native(site: Site) -> EdgeFacts:
    return edge(site, Upstream(GATEWAY, 3000), Upstream(GATEWAY, 4000))


def docker(site: Site) -> EdgeFacts:
    return edge(site, Upstream("web", 3000), Upstream("api", 4000))


def shown(site: Site, facts: Facts, capsys: pytest.CaptureFixture[str]) -> str:
    status.show(Console(), site, facts)
    return "".join(capsys.readouterr())


def lines(site: Site, facts: Facts, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    status.show(Console(json=True), site, facts)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_owner_edge_and_host_are_named(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(site, Facts(host=GOOD_HOST, owner="native", edge=native(site)), capsys)
    assert out.splitlines()[:3] == ["host   vps", "owner  native", "edge   native"]


def test_where_nobody_owns_it_is_said_what_that_means(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    out = " ".join(shown(site, Facts(host=GOOD_HOST, edge=native(site)), capsys).split())
    assert "owner nobody" in out and "without /var/lib/islandflow/owner nothing native starts" in out
    told = shown(site, Facts(host=GOOD_HOST, owner_error="the owner file is not readable by all"), capsys)
    assert "not readable by all" in told and "nobody owns" not in told


def test_an_edge_that_sends_the_names_apart_is_neithers(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    apart = edge(site, Upstream("web", 3000), Upstream(GATEWAY, 4000))
    assert "neither runtime" in shown(site, Facts(host=GOOD_HOST, owner="native", edge=apart), capsys)


def closed(site: Site, app: HostFact) -> EdgeFacts:
    """An edge whose API's own hostname is closed, and leads nowhere, as the app's script does it."""
    name = site.edge.api_domain
    row = ProxyHost(2, (name,), False, "http", "127.0.0.1", 9, "", "", "{}", websocket=False)
    hosts = {site.edge.app_domain: app, name: HostFact(name, row=row, upstream=row.upstream)}
    return EdgeFacts(network=EdgeNetwork(GATEWAY), hosts=hosts)


def test_a_closed_hostname_of_the_apis_own_does_not_say_where_the_edge_leads(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    app = HostFact(site.edge.app_domain, upstream=Upstream(GATEWAY, 3000))
    routed = dataclasses.replace(app, routes=("ws", "flow"), route_upstream=Upstream(GATEWAY, 4000))
    for one in (app, routed):
        out = shown(site, Facts(host=GOOD_HOST, owner="native", edge=closed(site, one)), capsys)
        assert f"edge   native; {site.edge.api_domain} is closed\n" in out and "warning" not in out
    stale = dataclasses.replace(routed, route_upstream=Upstream("api", 4000))
    out = shown(site, Facts(host=GOOD_HOST, owner="native", edge=closed(site, stale)), capsys)
    assert "neither runtime" in out, "pages from one runtime, data from the other"
    own = dataclasses.replace(routed, routes=("metrics",), route_upstream=Upstream("monitor", 9090))
    out = shown(site, Facts(host=GOOD_HOST, owner="native", edge=closed(site, own)), capsys)
    assert "edge   native" in out, "a route of the operator's own says nothing of the app"


def test_an_edge_that_cannot_be_looked_at_is_not_said_to_lead_elsewhere(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    found = EdgeFacts(problem="NPM's database is locked")
    facts = Facts(host=GOOD_HOST, owner="native", edge=found)
    assert "edge   unknown: NPM's database is locked\n" in shown(site, facts, capsys)
    assert lines(site, facts, capsys)[0]["raw_api"] == "unknown"


def test_an_edge_whose_database_and_files_disagree_is_a_warning(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    found = native(site)
    drifted = dataclasses.replace(found.hosts[site.edge.api_domain], drift=("its file is missing",))
    found.hosts[site.edge.api_domain] = drifted
    out = shown(site, Facts(host=GOOD_HOST, owner="native", edge=found), capsys)
    assert "warning: edge: its file is missing; inv npm.diff" in out


def test_each_workload_is_told_for_both_runtimes(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    health = {
        "docker/api": Health("api", "docker", True, "healthy"),
        "native/api": Health("api", "native", False, "inactive"),
    }
    told = lines(site, Facts(host=GOOD_HOST, owner="docker", edge=docker(site), health=health), capsys)
    assert told[0] == {
        "version": 2,
        "kind": "status",
        "host": "vps",
        "owner": "docker",
        "edge": "docker",
        "raw_api": "open",
        "edge_problem": "",
        "drift": 0,
        "maintenance": "",
        "last_plan": "",
        "last_outcome": "",
        "exposures": {},
    }
    rows = {(line["runtime"], line["name"]): (line["ok"], line["text"]) for line in told if line["kind"] == "health"}
    assert len(rows) == 2 * (len(site.services) + len(site.servers))
    assert rows["docker", "api"] == (True, "healthy") and rows["native", "api"] == (False, "inactive")
    assert rows["native", "nats"] == (False, "could not be asked")


def test_only_the_owners_failures_are_marked(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """That the other runtime is down is as it should be."""
    health = {
        "docker/api": Health("api", "docker", False, "exited"),
        "native/api": Health("api", "native", False, "inactive"),
    }
    out = shown(site, Facts(host=GOOD_HOST, owner="docker", edge=docker(site), health=health), capsys)
    [row] = [line for line in out.splitlines() if line.startswith("api ")]
    assert "✗ exited" in row and "inactive" in row and "✗ inactive" not in row


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"owner_error": "the owner file holds 'both'"}, "the owner file holds 'both'"),
        ({"user_manager": "delta has no manager"}, "delta has no manager"),
        ({"docker_error": "Docker does not answer"}, "Docker does not answer"),
        ({"compose_error": "services.web: unknown key"}, "services.web: unknown key"),
        ({"ops": StoreState(unfinished=("some-plan",))}, "inv revert --plan some-plan"),
        (
            {"ops": StoreState(lock=LockHolder("bo", "rollback", "noon"))},
            "a plan runs: bo, rollback, since noon",
        ),
    ],
)
def test_what_the_operator_should_know_is_a_warning(
    site: Site, changes: dict[str, Any], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = Facts(host=GOOD_HOST, owner="docker", edge=docker(site), **changes)
    assert next(line["text"] for line in lines(site, facts, capsys) if line["kind"] == "warning").endswith(text)


def test_a_running_plan_is_not_called_unfinished(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    ops = StoreState(lock=LockHolder("bo", "rollback", "noon"), unfinished=("some-plan",))
    assert "revert" not in shown(site, Facts(host=GOOD_HOST, owner="docker", edge=docker(site), ops=ops), capsys)


def test_an_edge_that_does_not_follow_the_owner_is_a_warning(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(site, Facts(host=GOOD_HOST, owner="native", edge=docker(site)), capsys)
    assert "warning: native owns the app but the edge sends requests to docker: inv npm.switch --to native" in out


def test_all_is_well_without_a_warning(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert "warning" not in shown(site, Facts(host=GOOD_HOST, owner="native", edge=native(site)), capsys)


def test_what_a_reboot_brings_up_is_shown_and_a_mismatch_is_a_warning(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    units = {s.unit: unit(s.unit, True) for s in site.servers}
    services = {s.unit: unit(s.unit, True) for s in site.scope("full")}
    found = Facts(host=GOOD_HOST, owner="native", edge=native(site), units=units, user_units=services)
    assert "reboot native\n" in shown(site, found, capsys)
    assert {"version": 2, "kind": "reboot", "runtime": "docker", "names": []} in lines(site, found, capsys)
    off = dataclasses.replace(found, user_units={name: unit(name, False) for name in services})
    out = shown(site, off, capsys)
    assert "reboot native's nats, redis, clickhouse\n" in out
    assert "warning: native owns, and a reboot would not bring up web, api" in out and "→ inv app.start" in out


def test_before_the_first_hand_over_there_is_no_owner_file(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert "owner  nobody (no owner file yet)" in shown(site, Facts(host=GOOD_HOST, edge=docker(site)), capsys)


def test_a_closed_name_is_told(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    facts = Facts(host=GOOD_HOST, owner="docker", edge=docker(site))
    name = site.edge.api_domain
    row = ProxyHost(2, (name,), False, "http", "api", 4000, "", "", "{}")
    facts.edge.hosts[name] = dataclasses.replace(facts.edge.hosts[name], row=row)
    assert f"edge   docker; {name} is closed" in shown(site, facts, capsys)


def active_unit(name: str, sub: str) -> Unit:
    """An active unit, as systemd shows it."""
    return Unit(name, "loaded", "active", sub, "static", 0, 0, "success", "", False)


def test_servers_that_run_on_data_which_is_not_sealed_are_a_warning(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """They were started before their units knew the seal, or somebody stopped it."""
    servers = {server.unit: active_unit(server.unit, "running") for server in site.servers}
    facts = Facts(host=GOOD_HOST, owner="native", edge=native(site), units=servers)
    assert "the data of nats, redis, clickhouse is not sealed" in shown(site, facts, capsys)
    sealed = dataclasses.replace(facts, units={**servers, site.seal_unit: active_unit(site.seal_unit, "exited")})
    assert "is not sealed" not in shown(site, sealed, capsys)


def test_containers_that_run_beside_a_native_owner_or_that_nobody_knows_are_a_warning(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    api, stray = (container(Workload(name, "docker"), True) for name in ("api", "news"))
    facts = Facts(host=GOOD_HOST, owner="native", edge=native(site), containers={"api": api, "news": stray})
    out = shown(site, facts, capsys)
    assert "warning: native owns, and these containers run: x-api-1; both have the data open; inv docker.stop" in out
    assert "container x-news-1 runs in the project, and the inventory has no service news" in out
    sealed = dataclasses.replace(facts, units={site.seal_unit: active_unit(site.seal_unit, "exited")})
    words = "the data is sealed: what was started since can't write to it; inv docker.stop"
    assert words in shown(site, sealed, capsys)
    served = Facts(host=GOOD_HOST, owner="docker", edge=docker(site), containers={"api": api})
    assert "these containers run" not in shown(site, served, capsys)


def test_settings_that_are_not_those_of_the_env_file_are_a_warning_while_native_owns(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = SettingsFileFact("file", differs="it says something else in KEY")
    for owner, edges in (("native", native(site)), ("docker", docker(site))):
        out = shown(site, Facts(host=GOOD_HOST, owner=owner, edge=edges, settings_file=stale), capsys)  # type: ignore[arg-type]  # either word
        assert ("something else in KEY" in out) == (owner == "native")


# ── The rest of the screen ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal on which no cell wraps."""
    monkeypatch.setenv("COLUMNS", "200")


def test_what_the_owner_takes_up_is_shown_beside_its_health(
    site: Site, wide: None, capsys: pytest.CaptureFixture[str]
) -> None:
    redis = site.infra.redis
    facts = Facts(
        host=GOOD_HOST,
        owner="native",
        edge=native(site),
        health={
            "native/redis": Health("redis", "native", True, "healthy", "active/running", 7, restarts=2),
            "native/api": Health("api", "native", True, "healthy", "active/running", 8),
            "docker/redis": Health("redis", "docker", False, "container is exited", "exited"),
        },
        memory={"native/redis": 3 << 20, "native/api": 5 << 30},
        listeners=(Listener(redis.port, "127.0.0.1", 7, "redis-server", "/x"),),
        versions={"native/redis": "8.0.2"},
        sizes={redis.data: 1536 << 10},
    )
    rows = {line.split()[0]: line.split() for line in shown(site, facts, capsys).splitlines() if line.strip()}
    assert " ".join(rows["redis"]) == "redis ✓ healthy down 2 3.0 MiB 6379 redis-server (7) 8.0.2 1.5 MiB"
    assert rows["api"][-2:] == ["5.0", "GiB"]
    found = {line["name"]: line for line in lines(site, facts, capsys) if line["kind"] == "health"}
    assert found["redis"]["runtime"] == "docker" and found["redis"]["memory"] is None
    (own,) = [
        line for line in lines(site, facts, capsys) if (line.get("name"), line.get("runtime")) == ("redis", "native")
    ]
    assert (own["restarts"], own["memory"], own["data"], own["version"]) == (2, 3 << 20, 1536 << 10, "8.0.2")
    assert own["port"] == "6379 redis-server (7)"


def test_in_docker_the_version_is_the_images_and_the_port_is_the_containers(
    site: Site, wide: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (redis,) = [w for w in workloads.everything(site, "docker") if w.name == "redis"]
    facts = Facts(
        host=GOOD_HOST,
        owner="docker",
        edge=docker(site),
        containers={"redis": dataclasses.replace(container(redis, True), image="registry.example:5000/redis:7.2")},
        listeners=(Listener(site.infra.redis.image_port, "0.0.0.0", 9, "docker-proxy", "/x", "flow-redis-1"),),
    )
    (row,) = [line for line in shown(site, facts, capsys).splitlines() if line.startswith("redis ")]
    assert row.split()[-3:] == ["6379", "flow-redis-1", "7.2"]


def test_another_process_at_a_containers_port_is_not_said_to_be_its(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    stray = Listener(site.infra.redis.image_port, "0.0.0.0", 9, "redis-server", "/x")
    facts = Facts(host=GOOD_HOST, owner="docker", edge=docker(site), listeners=(stray,))
    assert "redis-server" not in shown(site, facts, capsys)


def test_firewall_exposure_last_plan_and_leftovers_have_a_line_each(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = Facts(
        host=GOOD_HOST,
        owner="native",
        edge=native(site),
        firewall=Firewall(True, True, "deny"),
        health={"docker/web": Health("web", "docker", False, "unhealthy", "running", 5)},
        exposures={"flow-nats.service": 1.3, "flow-api.service": 6.3},
        ops=StoreState(last="20260101-cutover", last_outcome="done"),
    )
    out = shown(site, facts, capsys)
    assert "ufw    active, 0 rules; not let in: " in out
    assert "units  exposure 1.3 to 6.3 of 10 (most: flow-api.service)" in out
    assert "plan   20260101-cutover: done\n" in out and "other  docker runs web\n" in out
    cut = dataclasses.replace(facts, ops=StoreState(last="x", last_outcome=""))
    assert "plan   x: has not ended" in shown(site, cut, capsys)


def test_it_is_shown_again_and_again_until_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost()
    host.stand_in(monkeypatch)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("fabfile.commands.status.time.sleep", pause)
    run = islandflow("status", "--watch")
    assert run.code == 130 and host.calls == [("survey",)] * 3, "one trip each time"
    assert run.out.count("host   vps") == 3 and "\x1b[" not in run.out, "plain lines where there is no terminal"


def test_on_a_terminal_it_stays_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    screen = Console(out=rich.console.Console(file=out, force_terminal=True, soft_wrap=True))
    screen.begin_anew("12:00:00")
    assert out.getvalue().startswith("\x1b[2J\x1b[H") and "12:00:00" in out.getvalue()


def test_the_survey_starts_no_container_and_measures_what_is_shown(site: Site) -> None:
    asked = status.request(site)
    assert asked.memory and set(asked.sized) == {server.data for server in site.servers}
    assert [program.name for program in asked.programs] == [f"native/{server.name}" for server in site.servers]
    assert not any(program.image for program in asked.programs) and asked.exposed
