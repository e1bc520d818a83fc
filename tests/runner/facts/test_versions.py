"""Versions of servers, as they say them themselves, and the format of Redis' files."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from fabfile.runner.facts.versions import ask_all, rdb_format
from fabfile.runner.wire.facts import Program
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
    assert ask_all(machine, [Program("native/x", ("/usr/bin/server", "--version"))]) == ({"native/x": version}, {})


def test_an_image_is_asked_without_network_and_never_fetched(tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"docker run": "nats-server: v2.10.7"})
    found, _ = ask_all(machine, [Program("docker/nats", ("/nats-server", "--version"), "nats:2.10")])
    assert found == {"docker/nats": "2.10.7"}
    (argv,) = machine.calls
    assert argv[-4:] == ("--entrypoint", "/nats-server", "nats:2.10", "--version")
    assert {("--pull", "never"), ("--network", "none")} <= set(itertools.pairwise(argv))
    assert "--rm" in argv


def test_who_cannot_be_asked_is_told_with_the_reason_and_the_others_all_the_same(tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"a": (125, "", "No such image"), "b": "no number", "c": "v1.2"})
    found, errors = ask_all(machine, [Program(name, (name,)) for name in "abc"])
    assert found == {"a": "", "b": "", "c": "1.2"}
    assert errors["a"] == "No such image"
    assert "no version in" in errors["b"]


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
