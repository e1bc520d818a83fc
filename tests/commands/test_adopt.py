"""`init` and `doctor` as an operator calls them: what they refuse, what they say, how they end."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fabfile.commands import adopt
from fabfile.inventory import Host, Site, load
from fabfile.runner.wire.adoption import Adoption
from fabfile.runner.wire.store import LockHolder
from tests.adoption import vps
from tests.support import facts, inventories
from tests.support.entry_points import DOORS, Run, inv, islandflow
from tests.support.fake_host import FakeHost

both_doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    folder = tmp_path / "site"
    folder.mkdir()
    site = inventories.site(folder)
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(folder / "inventory.toml"))
    return site


@pytest.fixture
def host(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A VPS where Docker serves, as the inventory says."""
    edge = facts.edge_to(site, "docker", tmp_path)
    fake = FakeHost(facts.serving(site, "docker", edge))
    fake.adoption = vps.vps(site)
    fake.stand_in(monkeypatch)
    return fake


@pytest.fixture
def surveyed(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[Host]:
    """The logins that `init` surveyed; each finds the VPS of the inventory."""
    logins: list[Host] = []

    class Surveyed:
        def adopt(self, wanted: Any) -> Adoption:
            return vps.vps(site)

    def reached(context: Any, entry: Host, timeout: float) -> Surveyed:
        logins.append(entry)
        return Surveyed()

    monkeypatch.setattr(adopt, "host_for", reached)
    return logins


# ── init ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@both_doors
def test_init_needs_no_inventory(
    door: Callable[..., Run], surveyed: list[Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(tmp_path / "none.toml"))
    monkeypatch.chdir(tmp_path)
    run = door("init", "--host", "delta@192.0.2.7:2222")
    assert run.code == 0
    [login] = surveyed
    assert (login.user, login.address, login.port) == ("delta", "192.0.2.7", 2222)
    assert load(tmp_path / "inventory.toml", {}).host().port == 2222
    assert "values found on the VPS" in run.out and f"{'inv' if door is inv else 'islandflow'} doctor" in run.out


@both_doors
@pytest.mark.parametrize("given", ["", "192.0.2.7", "delta@", "delta@a b", "delta@192.0.2.7:port", "@192.0.2.7"])
def test_a_host_that_is_no_login_is_refused(given: str, door: Callable[..., Run], surveyed: list[Host]) -> None:
    run = door("init", *(["--host", given] if given else []), "--output", "/dev/null/x")
    assert run.code == 2 and surveyed == []


@pytest.mark.parametrize("given", ["delta@[2001:db8::7]:22", "delta@[2001:db8::7]"])
def test_an_ipv6_address_stands_in_brackets(given: str) -> None:
    assert adopt.parse_login(None, given, "").address == "2001:db8::7"


@pytest.mark.parametrize("given", ["delta@192.0.2.7:99999", "Delta!@192.0.2.7", "delta@-x"])
def test_what_ssh_could_not_take_is_refused_in_words(given: str, tmp_path: Path) -> None:
    run = islandflow("init", "--host", given, "--output", str(tmp_path / "new.toml"))
    assert run.code == 2 and "can't be reached so" in run.err


@both_doors
def test_a_file_that_is_there_is_kept(door: Callable[..., Run], surveyed: list[Host], tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("mine")
    run = door("init", "--host", "delta@192.0.2.7", "--output", str(file))
    assert run.code == 2 and surveyed == [] and file.read_text() == "mine"
    assert door("init", "--host", "delta@192.0.2.7", "--output", str(file), "--force").code == 0
    assert "default_host" in file.read_text()


def test_questions_are_told_and_stay_in_the_file(
    site: Site, tmp_path: Path, surveyed: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vps, "vps", lambda site, real=vps.vps: dataclasses.replace(real(site), edges=()))
    file = tmp_path / "new.toml"
    run = islandflow("init", "--host", "delta@192.0.2.7", "--output", str(file))
    assert run.code == 0 and "edge.container ?:" in run.out
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(file))
    told = islandflow("status")
    assert told.code == 2 and "edge.container: not answered yet" in told.err


def test_without_docker_no_file_is_written(
    tmp_path: Path, surveyed: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vps, "vps", lambda site: Adoption(docker_error="Docker does not answer: no such file"))
    file = tmp_path / "new.toml"
    run = islandflow("init", "--host", "delta@192.0.2.7", "--output", str(file))
    assert run.code == 1 and not file.exists()
    assert "Docker does not answer" in run.err and "No file was written" in run.err


def test_as_json_every_value_comes_with_its_source(tmp_path: Path, surveyed: list[Host]) -> None:
    run = islandflow("init", "--host", "delta@192.0.2.7", "--output", str(tmp_path / "new.toml"), "--json")
    lines = [json.loads(line) for line in run.out.splitlines()]
    [root] = [line for line in lines if line.get("key") == "edge.root"]
    assert root["origin"] == "found" and root["why"]
    assert lines[-1]["kind"] == "written" and lines[-1]["asked"] == 0


def test_an_inventory_that_somebody_broke_still_lets_init_run(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("not = [toml")
    assert adopt.shipped_tables(file) == {}


# ── doctor ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@both_doors
def test_doctor_ends_with_0_where_all_is_as_written(door: Callable[..., Run], host: FakeHost) -> None:
    run = door("doctor")
    assert run.code == 0, run.err
    assert "a cutover and a rollback would start" in run.out and "reboot" in run.out
    assert host.verbs == ["adopt"]


def test_doctor_ends_with_3_and_the_line_where_the_inventory_is_wrong(site: Site, host: FakeHost) -> None:
    host.adoption = dataclasses.replace(
        host.adoption, edges=(dataclasses.replace(host.adoption.edges[0], data="/srv/npm/data"),)
    )
    run = islandflow("doctor")
    assert run.code == 3 and 'edge.root = "/srv/npm"' in run.err


@pytest.mark.parametrize(
    ("broken", "direction"),
    [({"user_manager": "lingering is off"}, "cutover"), ({"docker_error": "Docker does not answer"}, "rollback")],
)
def test_doctor_ends_with_3_where_a_direction_would_not_start(
    broken: dict[str, Any], direction: str, host: FakeHost
) -> None:
    host.facts = dataclasses.replace(host.facts, **broken)
    run = islandflow("doctor")
    assert run.code == 3 and direction in run.err and next(iter(broken.values())) in run.err


def test_doctor_says_that_a_plan_runs(host: FakeHost) -> None:
    lock = LockHolder("delta@desk", "cutover", "now")
    host.facts = facts.changed(host.facts, ops={"lock": lock})
    run = islandflow("doctor")
    assert run.code == 3 and "delta@desk holds the lock" in run.err


def test_doctor_in_json_names_differences_and_directions(host: FakeHost) -> None:
    lines = [json.loads(line) for line in islandflow("doctor", "--json").out.splitlines()]
    starts = {line["name"]: line["starts"] for line in lines if line["kind"] == "direction"}
    assert starts == {"cutover": True, "rollback --full": True}


def test_where_native_owns_doctor_judges_both_directions_too(site: Site, host: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "native"
    folder.mkdir()
    host.facts = facts.serving(site, "native", facts.edge_to(site, "native", folder))
    host.adoption = dataclasses.replace(host.adoption, owner="native")
    assert islandflow("doctor").code == 0
