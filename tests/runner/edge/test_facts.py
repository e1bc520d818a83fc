"""What a survey says of the edge when one of its looks, which go side by side, goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile.runner.actions.edge_point import PointEdge
from fabfile.runner.actions.edge_switch import API
from fabfile.runner.edge.change import EdgeHost
from fabfile.runner.edge.facts import edge_facts
from fabfile.runner.system.machine import StepFailed
from tests.runner.support.fake_edge import FakeEdge, stand_in


class Networkless(FakeEdge):
    """An edge whose Docker knows no network of that name."""

    def _answer(self, words: str) -> tuple[int, str, str]:
        return (1, "", "no such network") if "network inspect" in words else super()._answer(words)


def made(kind: type[FakeEdge], folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    edge = kind(folder)
    stand_in(edge, monkeypatch)
    return edge


@pytest.fixture
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    return made(FakeEdge, tmp_path, monkeypatch)


@pytest.fixture
def networkless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    return made(Networkless, tmp_path, monkeypatch)


def test_a_network_that_is_not_there_is_named_and_all_else_is_read(networkless: FakeEdge) -> None:
    networkless.refuses = lambda text: True
    found = edge_facts(networkless, networkless.ref)
    assert found.problem == "no such network" and (found.network.gateway, found.config_problem) == ("", "")
    assert set(found.hosts) == set(networkless.ref.domains) and found.container.running


def test_a_failed_config_test_is_a_fact_beside_the_others(edge: FakeEdge) -> None:
    edge.refuses = lambda text: True
    found = edge_facts(edge, edge.ref)
    assert found.config_problem == "nginx: [emerg] test failed" and not found.problem
    assert found.network.gateway and set(found.hosts) == set(edge.ref.domains)


def test_a_database_that_cannot_be_read_is_the_problem_whatever_else_there_is(networkless: FakeEdge) -> None:
    Path(networkless.ref.database).write_bytes(b"no database")
    found = edge_facts(networkless, networkless.ref)
    assert "database" in found.problem and found.hosts == {}


def test_a_container_that_does_not_run_is_not_tested(edge: FakeEdge) -> None:
    edge.running = False
    found = edge_facts(edge, edge.ref)
    assert "exited" in found.problem and found.network.gateway
    assert not [call for call in edge.calls if "nginx -t" in call]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DB_MYSQL_HOST": "db"}, "MariaDB or MySQL at db (DB_MYSQL_HOST)"),
        ({"DB_POSTGRES_HOST": "pg.example.test"}, "PostgreSQL at pg.example.test (DB_POSTGRES_HOST)"),
        ({"DB_MYSQL_HOST__FILE": "/run/secrets/host"}, "MariaDB or MySQL at /run/secrets/host"),
        ({"DB_SQLITE_FILE": "/data/other.sqlite"}, "data/other.sqlite (DB_SQLITE_FILE), not in "),
        ({"DB_SQLITE_FILE": "/config/database.sqlite"}, "/config/database.sqlite, in the container (DB_SQLITE_FILE)"),
    ],
)
@pytest.mark.parametrize("stale", [True, False])
def test_another_database_is_named_and_nothing_is_written(
    edge: FakeEdge, variables: dict[str, str], words: str, stale: bool
) -> None:
    """A file of SQLite's may be left of the time before: NPM reads nothing of it."""
    edge.variables.update(variables)
    if not stale:
        Path(edge.ref.database).unlink()
    files = edge.files()
    found = edge_facts(edge, edge.ref)
    assert words in found.problem and found.hosts == {} and "hunter2" not in found.problem
    host = EdgeHost(edge.ref.domains[0], "172.18.0.1", 3000)
    for action in (PointEdge(edge.ref, (host,)), PointEdge(edge.ref, (host,), way=API)):
        with pytest.raises(StepFailed) as caught:
            action.inspect(edge)
        assert words in str(caught.value)
    assert edge.files() == files and Path(edge.ref.database).exists() == stale


def test_the_inventorys_database_by_its_variable_is_no_other(edge: FakeEdge) -> None:
    edge.variables["DB_SQLITE_FILE"] = "/data/database.sqlite"
    assert edge_facts(edge, edge.ref).problem == ""
