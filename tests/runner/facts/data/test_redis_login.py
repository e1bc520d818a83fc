"""A login in the app's REDIS_URL that a runtime's Redis would refuse, by what is known before it runs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fabfile.runner.facts.data.redis_login import refused_logins
from fabfile.runner.wire.app import Setting
from fabfile.runner.wire.settings import RefusedLogin

SECRET = "s3cret-value"


def judge(
    native: str = "", docker: str = "", command: Sequence[str] | None = ("redis-server", "--appendonly", "yes")
) -> tuple[RefusedLogin, ...]:
    """What is refused of one service's REDIS_URL in each runtime; none of it shows a value."""
    found = refused_logins(
        {"api": {"REDIS_URL": Setting(native, "/app/.env")}},
        {"api": {"REDIS_URL": docker}},
        "/app/docker/.env",
        command,
    )
    assert SECRET not in repr(found)
    return found


@pytest.mark.parametrize(
    ("url", "reason", "login"),
    [
        (f"redis://:{SECRET}@127.0.0.1:6379", "has no password", "a password"),
        (f"redis://:{SECRET}@redis:6379/2", "has no password", "a password"),
        (f"redis://app:{SECRET}@localhost:6379", "has no users of its own", "a user name"),
        (f"redis://{SECRET}@[::1]:6379", "has no users of its own", "a user name"),
    ],
)
def test_native_redis_has_no_login_to_accept(url: str, reason: str, login: str) -> None:
    assert judge(native=url) == (RefusedLogin("native", "/app/.env", reason, login, ("api",)),)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://127.0.0.1:6379",
        f"redis://default:{SECRET}@127.0.0.1:6379",  # of the default user a Redis without a password takes any
        f"redis://:{SECRET}@cache.example.com:6379",
        "redis://[half",
    ],
)
def test_what_native_redis_accepts_is_not_named(url: str) -> None:
    assert judge(native=url) == ()


@pytest.mark.parametrize(
    ("url", "command", "reason", "login"),
    [
        ("redis://redis:6379", ["redis-server", "--requirepass", SECRET], "requires a password", "no password"),
        ("redis://redis:6379", ["--requirepass", SECRET], "requires a password", "no password"),
        (f"redis://:{SECRET}@redis", ["redis-server", "--requirepass x"], "requires a password", "another password"),
        (f"redis://:{SECRET}@redis", ["redis-server", "--save", ""], "has no password", "a password"),
        (
            f"redis://app:{SECRET}@redis",
            ["redis-server", "--requirepass", SECRET],
            "has no users of its own",
            "a user name",
        ),
    ],
)
def test_dockers_redis_is_judged_by_its_command_line(url: str, command: list[str], reason: str, login: str) -> None:
    assert judge(docker=url, command=command) == (RefusedLogin("docker", "/app/docker/.env", reason, login, ("api",)),)


@pytest.mark.parametrize(
    "command",
    [
        None,
        ["sh", "-c", "exec redis-server --requirepass $PASSWORD"],
        ["redis-server", "/etc/redis/redis.conf"],
        ["redis-server", "--aclfile", "/etc/redis/users.acl"],
        ["redis-server", "--include /etc/redis/more.conf"],
        ["redis-server", "--requirepass", SECRET],
    ],
)
def test_a_redis_with_that_password_or_configured_elsewhere_is_left_alone(command: list[str] | None) -> None:
    assert judge(docker=f"redis://:{SECRET}@redis:6379", command=command) == ()
