"""Placeholders: what they stand for in either runtime, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile.inventory import Site, placeholders
from fabfile.rendering import files
from fabfile.terms import Runtime
from tests.support.inventories import problems, site

EVERY = " ".join(f"{{{name}}}" for name in placeholders.SHARED)


def filled(of: Site, runtime: Runtime, bind: str) -> dict[str, str]:
    values = files.overrides(of, runtime, bind=bind)["ALL"].split(" ")
    return dict(zip(placeholders.SHARED, values, strict=True))


@pytest.fixture
def every(tmp_path: Path) -> Site:
    """An inventory whose overrides use every placeholder."""
    return site(tmp_path, {"runtimes.native.overrides": {"ALL": EVERY}, "runtimes.docker.overrides": {"ALL": EVERY}})


def test_natively_everything_is_where_it_listens(every: Site) -> None:
    assert filled(every, "native", "172.18.0.1") == {
        "bind": "172.18.0.1",
        "web_port": "3000",
        "api_port": "4000",
        "web_url": "http://172.18.0.1:3000",
        "api_url": "http://172.18.0.1:4000",
        "nats_url": "nats://127.0.0.1:4222",
        "redis_url": "redis://127.0.0.1:6379",
        "clickhouse_url": "http://127.0.0.1:8123",
        "runtime": "native",
    }


def test_what_listens_everywhere_is_found_on_the_loopback_address(every: Site) -> None:
    found = filled(every, "native", "0.0.0.0")
    assert (found["bind"], found["api_url"]) == ("0.0.0.0", "http://127.0.0.1:4000")


def test_in_docker_everything_has_the_name_of_its_container(every: Site) -> None:
    found = filled(every, "docker", "0.0.0.0")
    assert (found["web_url"], found["api_url"], found["runtime"]) == ("http://web:3000", "http://api:4000", "docker")
    assert (found["nats_url"], found["clickhouse_url"]) == ("nats://nats:4222", "http://clickhouse:8123")


def test_other_braces_are_ordinary_text(tmp_path: Path) -> None:
    text = '{"json": {A} {} {web-port} ${HOME}'
    made = site(tmp_path, {"runtimes.native.overrides": {"X": text}, "services.api.argv": [text]})
    assert files.overrides(made, "native", bind="172.18.0.1") == {"X": text}


def test_an_unknown_one_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    known = "{bind}, {web_port}, {api_port}, {web_url}, {api_url}, {nats_url}, {redis_url}, {clickhouse_url}, {runtime}"
    changes = {
        "services.api.argv": ["x", "-p={prot}"],
        "services.candles.argv": ["{port}"],
        "runtimes.native.overrides": {"X": "{bind}:{port}"},
        "runtimes.docker.overrides": {"X": "{nats_uri} {nats_uri}"},
    }
    assert problems(tmp_path, changes) == (
        f"runtimes.docker.overrides.X: {{nats_uri}} is no placeholder here; known: {known}",
        f"runtimes.native.overrides.X: {{port}} is no placeholder here; known: {known}",
        f"services.api.argv[1]: {{prot}} is no placeholder here; known: {known}, {{port}}",
        f"services.candles.argv[0]: {{port}} is no placeholder here; known: {known}",
    )
