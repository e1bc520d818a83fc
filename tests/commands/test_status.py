"""Where things stand, from one survey: owner, edge, health of both runtimes, and what the operator should know."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from fabfile.commands import status
from fabfile.console import Console
from fabfile.inventory import Site
from fabfile.runner.wire.edge import EdgeFacts, EdgeNetwork, HostFact, ProxyHost, Upstream
from fabfile.runner.wire.facts import Facts, Health, Unit, Workload
from fabfile.runner.wire.settings import SettingsFileFact
from fabfile.runner.wire.store import LockHolder, StoreState
from tests.support import inventories
from tests.support.facts import container, unit
from tests.support.fake_host import GOOD_HOST

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
