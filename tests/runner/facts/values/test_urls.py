"""URLs in variables: what differs besides host and port, and the same one with others."""

from __future__ import annotations

import pytest

from fabfile.runner.facts.values.urls import at_place, parts_that_differ

REDIS, NATS, CLICKHOUSE = "redis://127.0.0.1:6379", "nats://127.0.0.1:4222", "http://127.0.0.1:8123"


@pytest.mark.parametrize(
    ("native", "docker", "parts"),
    [
        (REDIS, "redis://redis:6379", ()),
        (REDIS, "redis://redis:6379/", ()),
        (REDIS, "redis://redis/0", ()),
        (REDIS, "redis://redis:6379/2", ("path",)),
        (REDIS, "redis:6379", ()),
        (REDIS, "redis:6379/2", ("path",)),
        ("127.0.0.1:6379", "redis://redis:6379/2", ("path",)),
        (REDIS, "rediss://redis:6379", ("scheme",)),
        (CLICKHOUSE, "http://clickhouse:8123/?database=flow", ("query",)),
        (CLICKHOUSE, "http://app:pw@clickhouse:8123/0#x", ("login", "path", "fragment")),
        (NATS, "nats://a:4222,nats://b:4222", ()),
        (NATS, "nats://a:4222,nats://u:p@b:4222", ("login",)),
        ("nats://a/1?x,nats://a/2?y", "nats://a/1?y,nats://a/2?x", ("combination of addresses",)),
        ("http://[::1]:80/x", "http://api/x", ()),
        ("http://x/?a=1,2", "http://y/?a=1,3", ("query",)),
        ("synthetic", "alpaca/2", ()),
        ('{"at": "http://x/1"}', '{"at": "http://x/2"}', ()),
        ("", "", ()),
    ],
)
def test_what_differs_besides_host_and_port_is_named(native: str, docker: str, parts: tuple[str, ...]) -> None:
    assert parts_that_differ(native, docker) == parts_that_differ(docker, native) == parts


@pytest.mark.parametrize(
    ("value", "url", "moved"),
    [
        ("redis://redis:6379/2", REDIS, "redis://127.0.0.1:6379/2"),
        ("redis:6379/2", REDIS, "redis://127.0.0.1:6379/2"),
        ("redis://:pw@redis:6379/2", REDIS, "redis://127.0.0.1:6379/2"),
        ("http://clickhouse:8123/?database=flow", CLICKHOUSE, "http://127.0.0.1:8123/?database=flow"),
        ("http://app:p@ss@clickhouse/x?y#z", CLICKHOUSE, "http://app:p@ss@127.0.0.1:8123/x?y#z"),
        ("nats://u:p@a:4222,nats://u:p@b:4222", NATS, "nats://u:p@127.0.0.1:4222"),
        ("nats://u:p@a:4222,b:4222", NATS, "nats://u:p@127.0.0.1:4222"),
        ("unix:///run/redis.sock", REDIS, REDIS),
        ("https://clickhouse.example/?database=flow", CLICKHOUSE, CLICKHOUSE),
        ("", NATS, NATS),
    ],
)
def test_only_host_and_port_are_replaced(value: str, url: str, moved: str) -> None:
    assert at_place(value, url) == moved
