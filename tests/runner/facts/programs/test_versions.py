"""Versions of servers, as they say them themselves, and the format of Redis' files."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from fabfile.runner.facts.programs.versions import rdb_format, read_versions
from fabfile.runner.wire.app import Program
from tests.runner.support.recorder import Recorder


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("nats-server: v2.10.7", "2.10.7"),
        ("Redis server v=7.2.4 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=abc", "7.2.4"),
        ("ClickHouse server version 23.8.16.16 (official build).", "23.8.16.16"),
    ],
)
def test_servers_say_their_version_in_their_own_way(tmp_path: Path, said: str, version: str) -> None:
    machine = Recorder(tmp_path, {"/usr/bin/server": said})
    assert read_versions(machine, [Program("native/x", ("/usr/bin/server", "--version"))]) == (
        {"native/x": version},
        {},
    )


@pytest.mark.parametrize(
    ("said", "image", "version"),
    [
        ("Redis server v=7.2.4 sha=0", "redis:7.2", "7.2.4"),
        ("Valkey server v=8.0.1 sha=0", "redis:8", "Valkey 8.0.1"),
        ("Server v=7.2.5 sha=0", "valkey/valkey:7.2", "Valkey 7.2.5"),
        ("KeyDB server v=6.3.4 sha=0", "eqalpha/keydb", "KeyDB 6.3.4"),
        ("dragonfly v1.21.2-abc", "dragonfly", "Dragonfly 1.21.2"),
    ],
)
def test_a_fork_of_redis_has_its_name_before_its_version(tmp_path: Path, said: str, image: str, version: str) -> None:
    machine = Recorder(tmp_path, {"docker image inspect": "sha256:a", "docker run": said})
    for _ in range(2):  # from the image, then from the cache
        assert read_versions(machine, [Program("docker/redis", ("server", "--version"), image)])[0] == {
            "docker/redis": version
        }


def test_an_images_version_is_read_without_network_and_without_a_pull(tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"docker run": "nats-server: v2.10.7"})
    found, _ = read_versions(machine, [Program("docker/nats", ("/nats-server", "--version"), "nats:2.10")])
    assert found == {"docker/nats": "2.10.7"}
    (argv,) = machine.said("docker", "run")
    assert argv[-4:] == ("--entrypoint", "/nats-server", "nats:2.10", "--version")
    assert {("--pull", "never"), ("--network", "none")} <= set(itertools.pairwise(argv))
    assert "--rm" in argv


def test_who_cannot_be_asked_is_told_with_the_reason_and_the_others_all_the_same(tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"a": (125, "", "No such image"), "b": "no number", "c": "v1.2"})
    found, errors = read_versions(machine, [Program(name, (name,)) for name in "abc"])
    assert found == {"a": "", "b": "", "c": "1.2"}
    assert errors["a"] == "No such image"
    assert "no version in" in errors["b"]


NATS = Program("docker/nats", ("/nats-server", "--version"), "nats:2.10")
REDIS = Program("docker/redis", ("redis-server", "--version"), "redis:7")


def containers(ops: Path, *identifiers: str, version: str = "2.10.7") -> Recorder:
    """A VPS whose images have these identifiers and tell this version."""
    return Recorder(ops, {"docker image inspect": "\n".join(identifiers), "docker run": f"v{version}"})


def test_an_image_with_a_cached_version_is_not_started_again(tmp_path: Path) -> None:
    first = containers(tmp_path, "sha256:a", "sha256:b")
    assert read_versions(first, [NATS, REDIS])[0] == {"docker/nats": "2.10.7", "docker/redis": "2.10.7"}
    assert {call[-2] for call in first.said("docker", "run")} == {"sha256:a", "sha256:b"}
    (file,) = tmp_path.glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    again = containers(tmp_path, "sha256:a", "sha256:b", version="9.9")
    assert read_versions(again, [NATS, REDIS])[0] == {"docker/nats": "2.10.7", "docker/redis": "2.10.7"}
    assert again.said("docker", "run") == []


def test_another_image_of_the_same_name_and_another_command_are_not_read_from_the_cache(tmp_path: Path) -> None:
    read_versions(containers(tmp_path, "sha256:a"), [NATS])
    assert read_versions(containers(tmp_path, "sha256:c", version="2.11.0"), [NATS])[0] == {"docker/nats": "2.11.0"}
    otherwise = Program("docker/nats", ("/nats-server", "-v"), "nats:2.10")
    assert read_versions(containers(tmp_path, "sha256:c", version="3.0"), [otherwise])[0] == {"docker/nats": "3.0"}


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", '{"version": 1}', '{"version": 1, "images": {"sha256:a /nats-server --version": "1.0"}}'],
    ids=["empty", "cut off", "a list", "no images", "another format"],
)
def test_what_is_kept_and_damaged_is_not_believed(damage: str, tmp_path: Path) -> None:
    read_versions(containers(tmp_path, "sha256:a"), [NATS])
    (file,) = tmp_path.glob("*.json")
    file.write_text(damage)
    assert read_versions(containers(tmp_path, "sha256:a", version="2.12.0"), [NATS])[0] == {"docker/nats": "2.12.0"}
    assert read_versions(containers(tmp_path, "sha256:a", version="9.9"), [NATS])[0] == {"docker/nats": "2.12.0"}


def test_a_version_that_could_not_be_read_is_not_cached(tmp_path: Path) -> None:
    broken = Recorder(tmp_path, {"docker image inspect": "sha256:a", "docker run": (125, "", "no space left")})
    assert read_versions(broken, [NATS])[1] == {"docker/nats": "no space left"}
    assert read_versions(containers(tmp_path, "sha256:a"), [NATS])[0] == {"docker/nats": "2.10.7"}


def test_images_that_docker_does_not_know_are_asked_by_their_names_and_nothing_is_kept(tmp_path: Path) -> None:
    vps = Recorder(tmp_path, {"docker image inspect": (1, "sha256:a", "No such image: redis:7"), "docker run": "v1.2"})
    assert read_versions(vps, [NATS, REDIS])[0] == {"docker/nats": "1.2", "docker/redis": "1.2"}
    assert {call[-2] for call in vps.said("docker", "run")} == {"nats:2.10", "redis:7"}
    assert list(tmp_path.iterdir()) == []


def test_before_the_first_plan_nothing_is_kept(tmp_path: Path) -> None:
    read_versions(containers(tmp_path / "ops", "sha256:a"), [NATS])
    assert list(tmp_path.iterdir()) == []


def test_the_newest_format_among_redis_files_counts(tmp_path: Path) -> None:
    assert rdb_format(tmp_path) == 0
    (tmp_path / "dump.rdb").write_bytes(b"REDIS0010\xfa")
    assert rdb_format(tmp_path) == 10
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir/appendonly.aof.1.base.rdb").write_bytes(b"REDIS0012\xfa")
    (tmp_path / "other.rdb").write_bytes(b"REDI")
    (tmp_path / "cut.rdb").write_bytes(b"REDIS00")
    (tmp_path / "odd.rdb").mkdir()
    assert rdb_format(tmp_path) == 12
