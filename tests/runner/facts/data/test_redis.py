"""What a Redis holds: keys that must stay, where it persists them, and every way of not answering."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fabfile.runner.facts.data.redis
from fabfile.runner.facts.data.holding import holdings
from fabfile.runner.facts.data.redis import RedisError, not_shared
from fabfile.runner.facts.data.redis_folder import working_directory
from fabfile.runner.system.machine import Machine
from fabfile.runner.wire.app import Environment
from fabfile.runner.wire.data import Count, DataRef, Holding
from tests.runner.support.recorder import Recorder
from tests.runner.support.redis_server import Redis
from tests.runner.support.servers import says, serving

FOLDER = "/srv/redis"
SHARED = {"dir": FOLDER, "dbfilename": "dump.rdb", "appendonly": "yes", "appenddirname": "appendonlydir"}


def asked(server: Redis, tmp_path: Path, url: str = "", folder: str = FOLDER) -> Holding:
    """What the runner makes of it. The app's environment has `url` as REDIS_URL."""
    env = tmp_path / "env"
    env.write_text(f"REDIS_URL={url}\n" if url else "")
    with serving(server.talk) as port:
        return of_port(port, tmp_path, env, folder)


def of_port(port: int, tmp_path: Path, env: Path, folder: str = FOLDER) -> Holding:
    environment = Environment("native", str(env), str(tmp_path / "no-overrides"))
    ref = DataRef("redis", "native", port, "infra.redis.port", folder, environment)
    return holdings(Machine(tmp_path), [ref])["native/redis"]


def test_keys_are_counted_and_those_that_expire_need_not_stay(tmp_path: Path) -> None:
    found = asked(Redis({0: (500, 20), 3: (7, 0)}, SHARED), tmp_path)
    assert found == Holding({"db0": Count(500, 480, True), "db3": Count(7, 7, True)}, SHARED, product="Redis")


HOURS, SECONDS = 7_200_000, 30_000  # milliseconds


@pytest.mark.parametrize(
    ("server", "least"),
    [
        (Redis({0: (500, 500)}, left=(HOURS,)), 500),
        (Redis({0: (500, 500)}, left=(HOURS, SECONDS)), 250),
        (Redis({0: (500, 400)}, left=(HOURS,)), 500),
        (Redis({0: (500, 500)}, left=(SECONDS,)), 0),
        (Redis({0: (9_000, 9_000)}, left=(HOURS,)), 8_100),  # a sample errs
        (Redis({0: (500, 500)}, left=(HOURS,), forbidden=("SCAN",)), 0),
        (Redis({0: (500, 500)}, left=(HOURS,), forbidden=("PTTL",)), 0),
        (Redis({0: (500, 500)}, left=(HOURS,), forbidden=("SELECT",)), 0),
    ],
    ids=["all", "half", "and others", "none", "a sample", "no SCAN", "no PTTL", "no SELECT"],
)
def test_keys_that_expire_long_after_a_hand_over_must_stay(server: Redis, least: int, tmp_path: Path) -> None:
    server.settings = SHARED
    holding = asked(server, tmp_path)
    assert holding.counts["db0"].least == least
    assert holding.settings == SHARED, "an error of one question is not the answer to the next"


def test_an_empty_one_holds_nothing(tmp_path: Path) -> None:
    assert asked(Redis(settings=SHARED), tmp_path) == Holding({}, SHARED, product="Redis")


@pytest.mark.parametrize(
    ("url", "login"), [("redis://:se%20cret@redis", ("se cret",)), ("redis://app:pw@r", ("app", "pw"))]
)
def test_it_logs_in_with_the_apps_own_url(url: str, login: tuple[str, ...], tmp_path: Path) -> None:
    assert asked(Redis({0: (1, 0)}, SHARED, login), tmp_path, url).counts == {"db0": Count(1, 1, True)}


def test_a_wrong_login_is_named_with_its_file_and_never_shown(tmp_path: Path) -> None:
    problem = asked(Redis(login=("right",)), tmp_path, "redis://:wr0ng@redis").problem
    assert "native's redis refuses the login of REDIS_URL" in problem and str(tmp_path / "env") in problem
    assert "wr0ng" not in problem


def test_a_missing_login_is_reported_as_required(tmp_path: Path) -> None:
    problem = asked(Redis(login=("right",)), tmp_path).problem
    assert "native's redis wants a login, and there is none" in problem and "REDIS_URL is not set" in problem


def test_a_login_that_is_not_required_is_not_sent(tmp_path: Path) -> None:
    server = Redis(settings=SHARED)
    asked(server, tmp_path, "redis://:secret@redis")
    assert not [words for words in server.asked if words[0] == "AUTH"]


def test_where_config_is_forbidden_keys_are_counted_all_the_same(tmp_path: Path) -> None:
    found = asked(Redis({0: (5, 0)}, SHARED, forbidden=("CONFIG",)), tmp_path)
    assert found == Holding({"db0": Count(5, 5, True)}, product="Redis")


def test_where_config_is_forbidden_info_says_whether_it_keeps_an_append_only_file(tmp_path: Path) -> None:
    server = Redis({0: (5, 0)}, forbidden=("CONFIG",), persistence={"loading": "0", "aof_enabled": "0"})
    (reason,) = asked(server, tmp_path).elsewhere
    assert "keeps no append-only file" in reason


def processes(folder: Path, *entries: tuple[int, str, str, str]) -> Path:
    """A /proc of processes with (number, namespace, name, working directory)."""
    for number, namespace, name, directory in entries:
        (folder / str(number) / "ns").mkdir(parents=True)
        (folder / str(number) / "ns" / "mnt").symlink_to(f"mnt:[{namespace}]")
        (folder / str(number) / "comm").write_text(f"{name}\n")
        (folder / str(number) / "cwd").symlink_to(directory)
    return folder


def test_where_config_is_forbidden_the_process_shows_the_directory(tmp_path: Path) -> None:
    proc = processes(
        tmp_path,
        (1, "9", "systemd", "/"),
        (40, "8", "redis-server", "/another"),
        (50, "7", "tini", "/data"),
        (51, "7", "redis-server", "/elsewhere"),
    )
    assert working_directory(50, proc) == "/elsewhere", "its container's first process need not be Redis"
    assert working_directory(51, proc) == "/elsewhere"
    assert working_directory(1, proc) == "" and working_directory(99, proc) == ""


@pytest.mark.parametrize(
    ("works_in", "reason"),
    [("/data", ""), ("/elsewhere", "a directory of its container, and not in /srv/redis"), ("", "")],
)
def test_a_container_whose_redis_does_not_say_its_directory_is_judged_by_that(
    works_in: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fabfile.runner.facts.data.holding.working_directory", lambda pid: works_in if pid == 5 else "")
    item = {
        "Id": "1",
        "Name": "/x",
        "Config": {"Labels": {"com.docker.compose.service": "redis"}},
        "State": {"Status": "running", "Pid": 5},
        "NetworkSettings": {"Networks": {"default": {"IPAddress": "127.0.0.1"}}},
        "Mounts": [{"Destination": "/data", "Source": FOLDER}],
    }
    machine = Recorder(tmp_path, {"docker ps": "1\n", "docker inspect": json.dumps([item])})
    environment = Environment("docker", str(tmp_path / "env"), str(tmp_path / "no-overrides"))
    with serving(Redis({0: (5, 0)}, forbidden=("CONFIG",)).talk) as port:
        ref = DataRef("redis", "docker", port, "infra.redis.image_port", FOLDER, environment, "p")
        elsewhere = holdings(machine, [ref])["docker/redis"].elsewhere
    assert len(elsewhere) == bool(reason) and all(one.endswith(reason) for one in elsewhere)


def test_where_config_is_forbidden_and_the_directory_has_no_append_only_file_that_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "renamed").mkdir(parents=True)
    server = Redis({0: (5, 0)}, forbidden=("CONFIG",))
    (reason,) = asked(server, tmp_path, folder=str(folder)).elsewhere
    assert reason == f"there is no append-only file of the usual name in {folder}"
    for usual in ("appendonlydir", "appendonly.aof"):
        (folder / usual).mkdir()
        assert asked(server, tmp_path, folder=str(folder)).elsewhere == ()
        (folder / usual).rmdir()


def test_a_file_that_it_could_not_write_is_named(tmp_path: Path) -> None:
    server = Redis({0: (5, 0)}, SHARED, persistence={"aof_enabled": "1", "aof_last_write_status": "err"})
    (reason,) = asked(server, tmp_path).elsewhere
    assert "could not write its append-only file" in reason


def test_while_it_loads_nothing_is_counted(tmp_path: Path) -> None:
    assert asked(Redis({0: (5, 0)}, persistence={"loading": "1"}), tmp_path).problem.endswith(
        "is still loading its data"
    )


def test_a_user_without_the_right_to_ask_logs_in_as_the_app(tmp_path: Path) -> None:
    server = Redis({0: (5, 0)}, SHARED, ("app", "pw"))
    server.raw = lambda words: b"-NOPERM this user has no permissions\r\n" if server.asked == [words] else None
    assert asked(server, tmp_path, "redis://app:pw@redis").counts == {"db0": Count(5, 5, True)}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"appendonly": "no"}, "keeps no append-only file"),
        ({"appenddirname": "aof"}, "its appenddirname is 'aof'"),
        ({"appendfilename": "log.aof"}, "its appendfilename is 'log.aof'"),
        ({"dir": "/elsewhere"}, "keeps its data in /elsewhere, and not in /srv/redis"),
    ],
)
def test_what_the_other_runtime_would_not_read_is_named(changed: dict[str, str], reason: str, tmp_path: Path) -> None:
    found = asked(Redis({0: (5, 0)}, {**SHARED, **changed}), tmp_path)
    assert len(found.elsewhere) == 1 and reason in found.elsewhere[0]


def test_redis_6_has_no_folder_for_its_append_only_file() -> None:
    assert not_shared({"dir": FOLDER, "appendonly": "yes", "appendfilename": "appendonly.aof"}, FOLDER, FOLDER) == []


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"HTTP/1.1 400 Bad\r\n\r\n",
        b"$-1\r\n",
        b"$9\r\nshort\r\n",
        b"*2\r\n+a\r\n+b\r\n",
        b"$x\r\n",
        b"\r\n",
    ],
    ids=["closes", "HTTP", "nothing", "cut off", "a list", "no size", "an empty line"],
)
def test_what_is_no_redis_is_a_problem_in_words(words: bytes, tmp_path: Path) -> None:
    with serving(says(words)) as port:
        found = of_port(port, tmp_path, tmp_path / "env")
    assert found.problem.startswith("native's redis") and not found.down


def test_nobody_there_is_down(tmp_path: Path) -> None:
    with serving(says(b"")) as port:
        pass
    found = of_port(port, tmp_path, tmp_path / "env")
    assert found.down and "infra.redis.port" in found.problem


@given(st.binary(max_size=200))
def test_no_answer_of_any_kind_is_more_than_an_error(words: bytes) -> None:
    with serving(says(words)) as port, fabfile.runner.facts.data.redis.Redis("127.0.0.1", port) as server:
        with contextlib.suppress(RedisError, OSError):
            server.keys()


@pytest.mark.parametrize(
    ("server", "product"),
    [
        ({"redis_version": "7.2.4", "executable": "/data/redis-server", "config_file": "/etc/valkey.conf"}, "Redis"),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.0.1"}, "Valkey"),
        ({"redis_version": "6.3.4", "executable": "/usr/local/bin/keydb-server"}, "KeyDB"),
        ({"redis_version": "7.4.0", "dragonfly_version": "df-v1.21.2"}, "Dragonfly"),
    ],
)
def test_it_says_which_fork_it_is_and_how_much_it_holds(server: dict[str, str], product: str, tmp_path: Path) -> None:
    found = asked(Redis({0: (5, 0)}, SHARED, server=server, used=300), tmp_path)
    assert (found.product, found.used) == (product, 300)
