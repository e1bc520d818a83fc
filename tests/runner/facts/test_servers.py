"""A Redis that requires a login is healthy only where the app's own works."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fabfile.inventory import Site
from fabfile.runner.facts.health import healthy
from fabfile.runner.facts.servers import probe
from fabfile.runner.system.machine import Observation
from fabfile.runner.system.sockets import cgroup_of
from fabfile.runner.wire.app import Environment
from fabfile.terms import RUNTIMES
from fabfile.workloads import of_servers
from tests.runner.support.recorder import Recorder
from tests.runner.support.redis_server import Redis
from tests.runner.support.servers import says, serving

SECRET = "s3cret-word"


def probed(server: Redis, folder: Path, line: str) -> Observation:
    """The app's env file has this line."""
    env = folder / "env"
    env.write_text(f"{line}\n")
    with serving(server.talk) as port:
        environment = Environment("native", str(env), str(folder / "no-overrides"))
        return probe("redis", "127.0.0.1", port, environment=environment)


@pytest.mark.parametrize(
    ("login", "line"),
    [
        ((), "REDIS_URL=redis://127.0.0.1:6379"),
        ((SECRET,), f"REDIS_URL=redis://:{SECRET}@127.0.0.1:6379/0"),
        (("app", SECRET), f"REDIS_URL=redis://app:{SECRET}@127.0.0.1:6379"),
        (("app", "p@ss word"), "REDIS_URL=redis://app:p%40ss%20word@127.0.0.1:6379"),
    ],
)
def test_where_the_app_s_login_works_it_is_healthy(login: tuple[str, ...], line: str, tmp_path: Path) -> None:
    server = Redis(login=login)
    assert probed(server, tmp_path, line).ok
    assert [words for words in server.asked if words[0] == "AUTH"] == ([["AUTH", *login]] if login else [])


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("REDIS_URL=redis://127.0.0.1:6379", "requires a login, and the app has none: REDIS_URL holds none in "),
        ("OTHER=1", "requires a login, and the app has none: REDIS_URL is not set in "),
        ("REDIS_URL=redis://:wr0ng@127.0.0.1", "refuses the app's login: correct REDIS_URL in "),
        ("REDIS_URL=redis://nobody:wr0ng@127.0.0.1", "refuses the app's login: correct REDIS_URL in "),
    ],
)
def test_where_it_does_not_the_variable_and_the_file_are_named_and_no_value(
    line: str, text: str, tmp_path: Path
) -> None:
    seen = probed(Redis(login=(SECRET,)), tmp_path, line)
    assert not seen.ok and text in seen.text and str(tmp_path / "env") in seen.text
    assert SECRET not in seen.text and "wr0ng" not in seen.text


def test_an_env_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = Environment("native", str(tmp_path / "missing"), str(tmp_path / "no-overrides"))
    with serving(Redis(login=(SECRET,)).talk) as port:
        seen = probe("redis", "127.0.0.1", port, environment=missing)
    assert not seen.ok and f"{tmp_path / 'missing'} can't be read" in seen.text


@pytest.mark.parametrize("answer", [b"-NOAUTH x\r\n", b"-NOAUTH x\r\n$99999999\r\n", b"-NOAUTH x"])
def test_what_answers_a_login_as_redis_does_not_is_not_healthy(answer: bytes, tmp_path: Path) -> None:
    env = tmp_path / "env"
    env.write_text(f"REDIS_URL=redis://:{SECRET}@x\n")
    with serving(says(answer)) as port:
        seen = probe("redis", "127.0.0.1", port, environment=Environment("native", str(env), "/nowhere"))
    assert not seen.ok and SECRET not in seen.text


def test_health_logs_in_to_each_runtime_s_redis_with_that_runtime_s_environment(site: Site) -> None:
    for runtime in RUNTIMES:
        environments = {one.name: one.environment for one in of_servers(site, runtime)}
        assert {name for name, environment in environments.items() if environment} == {"redis"}
        assert environments["redis"] and environments["redis"].runtime == runtime


def test_health_says_that_the_app_can_not_log_in(site: Site, tmp_path: Path) -> None:
    env = tmp_path / "env"
    (redis,) = [one for one in of_servers(site, "native") if one.name == "redis"]
    fields = {"ActiveState": "active", "SubState": "running", "NRestarts": 0, "MainPID": 7, "LoadState": "loaded"}
    fields["ControlGroup"] = cgroup_of(os.getpid())
    machine = Recorder(tmp_path, {"systemctl": "".join(f"{name}={value}\n" for name, value in fields.items())})
    with serving(Redis(login=(SECRET,)).talk) as port:
        own = replace(redis, port=port, environment=Environment("native", str(env), str(tmp_path / "none")))
        for password, ok in (("wr0ng", False), (SECRET, True)):
            env.write_text(f"REDIS_URL=redis://:{password}@127.0.0.1:{port}\n")
            (verdict,) = healthy(machine, [own]).values()
            assert (verdict.ok, "refuses the app's login" in verdict.text) == (ok, not ok)
