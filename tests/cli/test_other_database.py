"""Nginx Proxy Manager that keeps its hosts in MariaDB or PostgreSQL: every task that reads the edge says so."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from fabfile.inventory import Site
from fabfile.runner.edge.facts import edge_facts
from fabfile.runner.wire.facts import Facts
from tests.adoption import vps
from tests.runner.support.fake_edge import FakeEdge, stand_in
from tests.support.entry_points import Run, inv
from tests.support.fake_host import FakeHost

SENTENCE = "has its hosts in PostgreSQL at pg (DB_POSTGRES_HOST)"
REFUSED = [
    *("npm.switch --to native", "npm.switch --to native --way files", "npm.switch --to docker --raw-api closed"),
    *("npm.switch --to native --way api", "npm.backup", "npm.restore --backup 20261124T150000-000001"),
    *("cutover --yes", "cutover --scope web --yes", "cutover --dry", "rollback --full -y", "rollback --full --dry"),
    *("infra.bootstrap", "doctor"),
]
SHOWN = {"npm.status": 1, "npm.diff": 1, "npm.diff --to native": 1, "status": 0}


@pytest.fixture
def host(site: Site, docker_serves: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    with pytest.MonkeyPatch.context() as patch:
        fake = FakeEdge(tmp_path)
        stand_in(fake, patch)
        fake.variables["DB_POSTGRES_HOST"] = "pg"
        found = edge_facts(fake, fake.ref)
    made = FakeHost(dataclasses.replace(docker_serves, edge=found))
    made.adoption = vps.vps(site)
    made.stand_in(monkeypatch)
    return made


def sentences(run: Run) -> int:
    """How often it is said, whatever the width of the terminal."""
    return "".join(run.said.split()).count("".join(SENTENCE.split()))


@pytest.mark.parametrize("command", REFUSED)
def test_what_needs_its_rows_is_refused_with_the_database_s_name(command: str, host: FakeHost) -> None:
    run = inv(*command.split())
    assert run.code == 3 and host.shipped == [], run.said
    assert sentences(run) == 1 or command == "doctor", run.said
    assert "Have NPM use SQLite, or point the hosts by NPM's own page or API" in run.said


@pytest.mark.parametrize(("command", "code"), SHOWN.items())
def test_what_only_looks_says_it_once(command: str, code: int, host: FakeHost) -> None:
    run = inv(*command.split())
    assert (run.code, sentences(run)) == (code, 1), run.said


@pytest.mark.parametrize("command", [*REFUSED, *SHOWN])
def test_a_program_reads_it_as_well(command: str, host: FakeHost) -> None:
    run = inv(*command.split(), "--json")
    assert run.code in (0, 1, 3) and sentences(run), run.said
