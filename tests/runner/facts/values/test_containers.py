"""Values that natively lead nowhere, because they name what only containers know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.facts.values import containers
from fabfile.runner.wire.app import Setting

SECRET = "s3cret"
CONFIG: Any = {
    "services": {
        "web": {
            "extra_hosts": ["gateway.lan=host-gateway", "tws:10.0.0.7"],
            "secrets": [{"source": "alpaca"}, {"source": "key", "target": "/etc/key.pem"}],
            "configs": [{"source": "levels"}],
            "volumes": [
                {"type": "volume", "source": "flow", "target": "/data"},
                {"type": "bind", "source": "/srv/same", "target": "/srv/same"},
                {"type": "tmpfs", "target": "/scratch"},
                {"type": "tmpfs", "target": "/tmp"},
            ],
        },
        "postgres": {"container_name": "flow-db", "networks": {"default": None, "x": {"aliases": ["db"]}}},
        "redis": {"extra_hosts": {"other.lan": ["10.0.0.8"]}, "volumes": [{"source": "r", "target": "/redis"}]},
        "cache-2": {},
    }
}


@pytest.fixture(autouse=True)
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The VPS's /etc/hosts."""
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost # redis\n")
    monkeypatch.setattr(containers, "HOSTS", path)
    return path


def of(value: str, name: str = "A") -> tuple[str, bool] | None:
    """What such a variable of web names, and whether that is certain."""
    found = list(containers.container_values({name: Setting(value, "/x/.env")}, CONFIG, "web"))
    assert len(found) < 2 and SECRET not in repr(found)
    return (found[0].what, found[0].certain) if found else None


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("host.docker.internal", "host.docker.internal"),
        ("http://HOST.docker.internal:5000/x", "host.docker.internal"),
        ("http://gateway.lan", "the host of extra_hosts gateway.lan"),
        ("tws:7497", "the host of extra_hosts tws"),
        (f"redis://u:{SECRET}@redis:6379/2", "the Compose service redis"),
        (f"mysql://u:{SECRET}@127.0.0.1,postgres/x", "the Compose service postgres"),
        ("http://cache-2", "the Compose service cache-2"),
        ("127.0.0.1:9092,redis:9092", "the Compose service redis"),
        ('{"url": "http://redis:80/"}', "the Compose service redis"),
        (f"u:{SECRET}@tcp(postgres:5432)/flow", "the Compose service postgres"),
        ("postgres://db/flow", "the container of postgres, db"),
        ("postgres://flow-db/flow", "the container of postgres, flow-db"),
        ("/run/secrets/alpaca", "the secret /run/secrets/alpaca"),
        ("/etc/key.pem", "the secret /etc/key.pem"),
        ("/levels", "the config /levels"),
        ("file:///data/flow.db", "the mount /data"),
        ("/scratch/", "the mount /scratch"),
    ],
)
def test_what_only_a_container_knows_is_named(value: str, what: str) -> None:
    assert of(value) == (what, True)


@pytest.mark.parametrize(
    "value",
    [
        "http://127.0.0.1:6379",
        "http://redis.example/x",
        "http://my-redis:1234",
        "http://x/redis:6379",
        "redis:7.2",
        "postgres:16",
        "po\u017ftgres",
        "flow/redis:6379.1",
        "web,redis",
        "/srv/same/x",
        "/database",
        "/tmp/x",
        "/redis/x",
        "other.lan",
        "",
    ],
)
def test_what_means_the_same_to_both_runtimes_is_not(value: str) -> None:
    assert of(value) is None


def test_a_lone_word_is_a_host_by_its_variables_name() -> None:
    assert of("postgres", "PGHOST") == of("Postgres", "DB_SERVER") == ("the Compose service postgres", True)
    assert of("redis", "CACHE") == ("the Compose service redis", False)


def test_what_the_vps_knows_as_well_is_not_named(hosts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts.write_text("127.0.0.1 localhost Redis\n")
    assert of("redis://redis:6379") is None and of("http://cache-2") is not None
    hosts.unlink()
    assert of("redis://redis:6379") is not None
    monkeypatch.setattr(containers, "_SECRETS", str(tmp_path))
    (tmp_path / "alpaca").touch()
    assert of(f"{tmp_path}/alpaca") is None
