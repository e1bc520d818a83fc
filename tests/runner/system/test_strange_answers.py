"""Answers that no program of a VPS gives, each of which once ended in a traceback: an error in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.adoption import containers
from fabfile.runner.adoption.gather import adoption
from fabfile.runner.edge import server
from fabfile.runner.edge.facts import edge_facts
from fabfile.runner.edge.routing.locations import _paths_of
from fabfile.runner.facts import compose
from fabfile.runner.facts.credentials import Credentials
from fabfile.runner.facts.data import clickhouse
from fabfile.runner.system import docker, http, systemd
from fabfile.runner.system.machine import CommandFailed, Machine, Result, StepFailed
from fabfile.runner.wire.adoption import AdoptionRequest
from fabfile.runner.wire.edge import EdgeContainer, EdgeRef
from tests.runner.support.fake_edge import FakeEdge
from tests.runner.support.recorder import Recorder

BARE: dict[str, Any] = {"Config": {}, "State": {}, "NetworkSettings": {}}
DEEP = "[" * 50_000


@pytest.mark.parametrize("argument", ["a\0b", "a\ud800b"])
def test_an_argument_that_no_program_can_get_is_a_command_that_failed(tmp_path: Path, argument: str) -> None:
    with pytest.raises(CommandFailed, match="could not be started"):
        Machine(tmp_path).run(["true", argument])


@pytest.mark.parametrize(
    "text",
    [DEEP, "5", "[5]", '[{"Config": 5}]', json.dumps([{**BARE, "Name": 5}]), json.dumps([{**BARE, "State": []}])],
)
def test_an_inspection_that_is_none(tmp_path: Path, text: str) -> None:
    machine = Recorder(tmp_path, {"docker ps": "id\n", "docker inspect": text})
    for read in (lambda: docker.containers(machine, "app"), lambda: containers.inspect_all(machine)):
        with pytest.raises(CommandFailed, match="as Docker does"):
            read()
    container = server.container(machine, "npm")
    assert not container.known and "describes it as Docker does not" in container.problem
    assert "as Docker does" in adoption(machine, AdoptionRequest()).docker_error


def test_a_port_of_a_container_that_is_no_number_is_left_out() -> None:
    assert containers.tcp_ports(["4000/tcp", "x/tcp", "53/udp", "٤/tcp", "1-2/tcp", "/tcp"]) == [4000]


@pytest.mark.parametrize("counter", ["x", "1.5", "--1"])
def test_a_counter_of_systemd_that_is_no_number(tmp_path: Path, counter: str) -> None:
    machine = Recorder(tmp_path, {"systemctl show": f"Id=x.service\nNRestarts={counter}\n"})
    with pytest.raises(StepFailed, match="describes a unit as systemd does not"):
        systemd.show(machine, ["x.service"])


@pytest.mark.parametrize(
    "text", ["[]", '{"services": []}', '{"services": {"web": 5}}', '{"services": {"web": {"volumes": "/a:/b"}}}', DEEP]
)
def test_a_configuration_that_compose_does_not_print(text: str) -> None:
    with pytest.raises(CommandFailed, match="as Compose does not"):
        compose.parse(Result(("docker",), 0, text, ""))


@pytest.mark.parametrize("rows", [5, [5], [["a"]], [["a", "b", "MergeTree", "x", ""]], [["a", "b", "c", [1], ""]]])
def test_rows_that_are_none_of_clickhouse(rows: object, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = http.Answer(200, {}, json.dumps({"data": rows}).encode())
    monkeypatch.setattr(http, "request", lambda *place, **given: answer)
    with pytest.raises(clickhouse.ClickHouseError, match="does not answer as ClickHouse does"):
        clickhouse.tables("127.0.0.1", 1, Credentials())


@pytest.mark.parametrize("column", ["forward_port", "certificate_id"])
def test_a_cell_of_the_edge_that_is_no_number(tmp_path: Path, column: str) -> None:
    edge = FakeEdge(tmp_path)
    with edge.database() as connection:
        connection.execute(f"UPDATE proxy_host SET {column} = 'x' WHERE id = 3")
    problem = edge_facts(edge, edge.ref).problem
    assert problem == f"proxy host 3 has 'x' as its {column}, which is no number"


@pytest.mark.parametrize("name", ["/", "/data/**.conf", f"/data/{'x' * 300}", "/data/a\0b*"])
def test_an_include_that_stands_for_no_file(tmp_path: Path, name: str) -> None:
    ref, container = EdgeRef(str(tmp_path), "", "npm", "net", ()), EdgeContainer("npm", True, 1, {})
    try:
        assert _paths_of(ref, container, name) == {}
    except OSError as error:  # which its caller takes for a file that can't be read
        assert "too long" in str(error)
