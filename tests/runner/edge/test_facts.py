"""What a survey says of the edge when one of its looks, which go side by side, goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile.runner.edge.facts import edge_facts
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
