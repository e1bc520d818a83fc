"""The Compose file: of the original's shape, and read back by a YAML parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fabfile import render
from fabfile.inventory import load
from tests.inventories import INVENTORY, site


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load(render.compose(load(INVENTORY, {}))[0].content)


def test_the_compose_file_holds_every_service_once(compose: Any) -> None:
    assert compose["name"] == "islandflow-vps"
    app = ["web", "api", "compute", "candles", "ingest-options", "ingest-equities"]
    assert list(compose["services"]) == [*app, "replay", "nats", "redis", "clickhouse"]


def test_web_and_api_are_published_locally_and_known_to_the_edge(compose: Any) -> None:
    for name, port in (("web", 3000), ("api", 4000)):
        assert compose["services"][name]["ports"] == [f"127.0.0.1:{port}:{port}"]
        assert compose["services"][name]["networks"] == {"default": {}, "edge": {"aliases": [name]}}
    assert compose["networks"] == {"edge": {"external": True, "name": "npm-shared"}}


def test_nothing_else_is_published(compose: Any) -> None:
    assert [name for name, service in compose["services"].items() if "ports" in service] == ["web", "api"]


def test_an_app_service_waits_for_its_servers_and_comes_back(compose: Any) -> None:
    compute = compose["services"]["compute"]
    assert (compute["restart"], compute["init"], compute["stop_grace_period"]) == (
        "unless-stopped",
        True,
        "10s",
    )
    assert compute["depends_on"] == {
        "nats": {"condition": "service_started"},
        "redis": {"condition": "service_healthy"},
        "clickhouse": {"condition": "service_healthy"},
    }
    assert compute["working_dir"] == "/app/services/compute"
    assert compute["command"] == ["bun", "run", "src/index.ts"]
    assert compute["env_file"] == [
        "/home/delta/islandflow/.env",
        "/home/delta/islandflow/deployment/docker/docker.env",
    ]


def test_a_tool_stands_behind_a_profile(compose: Any) -> None:
    assert compose["services"]["replay"]["profiles"] == ["replay"]
    assert [name for name, service in compose["services"].items() if "profiles" in service] == ["replay"]


def test_the_servers_keep_their_data_in_the_data_root(compose: Any) -> None:
    mounts = {name: compose["services"][name]["volumes"] for name in ("nats", "redis", "clickhouse")}
    assert {name: (mount["source"], mount["target"]) for name, [mount] in mounts.items()} == {
        "nats": ("/var/lib/islandflow/nats", "/data"),
        "redis": ("/var/lib/islandflow/redis", "/data"),
        "clickhouse": ("/var/lib/islandflow/clickhouse", "/var/lib/clickhouse"),
    }
    assert compose["services"]["nats"]["command"] == ["-js", "-sd", "/data", "-m", "8222"]
    assert compose["services"]["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    assert "healthcheck" not in compose["services"]["nats"]


def test_a_limit_of_open_files_is_set_only_if_asked_for(tmp_path: Path, compose: Any) -> None:
    assert "ulimits" not in compose["services"]["clickhouse"]
    asked = yaml.safe_load(render.compose(site(tmp_path, {"runtimes.docker.nofile": 20000}))[0].content)
    limits = [asked["services"][name]["ulimits"]["nofile"] for name in ("nats", "redis", "clickhouse")]
    assert limits == [{"soft": 20000, "hard": 20000}] * 3
