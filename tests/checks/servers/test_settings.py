"""What the app depends on in its servers is compared before a cutover, and the inventory has a place for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fabfile.checks import data
from fabfile.checks.result import Finding
from fabfile.inventory import Site
from fabfile.runner.wire.data import Count, Holding
from fabfile.runner.wire.facts import Facts
from tests.support import inventories
from tests.support.facts import changed

MIB = 1 << 20
LIMITS = {"maxmemory": str(256 * MIB), "maxmemory-policy": "allkeys-lru"}


def found(site: Site, facts: Facts, server: str, holding: Holding, settings: dict[str, Any], folder: Path) -> list[str]:
    """What is refused, by an inventory with those keys besides; a warning has a mark."""
    if settings:
        site = inventories.site(folder, settings)
    findings: list[Finding] = data.findings(site, changed(facts, data={f"docker/{server}": holding}), "native")
    return [f"{'! ' if finding.warning else ''}{finding.text}: {finding.fix}" for finding in findings]


@pytest.mark.parametrize(
    ("docker", "native", "text"),
    [
        ({"max_payload": str(MIB)}, {}, ""),
        ({"max_payload": "1000"}, {}, ""),
        ({}, {}, ""),
        ({"max_payload": str(8 * MIB)}, {}, "infra.nats.max_payload = 8388608"),
        ({"max_payload": str(8 * MIB)}, {"infra.nats.max_payload": 4 * MIB}, "native's of 4194304 bytes"),
        ({"max_payload": str(8 * MIB)}, {"infra.nats.max_payload": 8 * MIB}, ""),
    ],
)
def test_native_nats_must_take_messages_as_large(
    docker: dict[str, str], native: dict[str, Any], text: str, site: Site, docker_serves: Facts, tmp_path: Path
) -> None:
    lines = found(site, docker_serves, "nats", Holding(settings=docker), native, tmp_path)
    assert len(lines) == bool(text) and all(text in line and not line.startswith("!") for line in lines)


def of_redis(**settings: str) -> dict[str, Any]:
    return {"infra.redis.settings": {name.replace("_", "-"): value for name, value in settings.items()}}


@pytest.mark.parametrize(
    ("docker", "native", "text"),
    [
        (Holding(settings={"databases": "16", "notify-keyspace-events": ""}), {}, ""),
        (Holding(settings={"databases": "32"}), {}, 'table infra.redis.settings: databases = "32"'),
        (Holding(settings={"databases": "32"}), of_redis(databases="32"), ""),
        (Holding({"db20": Count(3, 3, True)}), {}, "keys in db20, and native's has 16 databases: in the inventory"),
        (Holding({"db15": Count(3, 3, True)}), {}, ""),
        (Holding({"db20": Count(3, 3, True)}), of_redis(databases="21"), ""),
        (Holding(settings={"notify-keyspace-events": "xE"}), {}, 'notify-keyspace-events = "xE"'),
        (Holding(settings={"notify-keyspace-events": "x"}), {}, ""),  # without K and E there are none
        (Holding(settings={"notify-keyspace-events": "xE"}), of_redis(notify_keyspace_events="AE"), ""),
        (Holding(settings={"notify-keyspace-events": "xE"}), of_redis(notify_keyspace_events="AK"), "of fewer events"),
        (Holding(settings={"notify-keyspace-events": "AKEm"}), of_redis(notify_keyspace_events="AKE"), "(AKE)"),
    ],
)
def test_native_redis_must_have_what_the_app_has_in_docker(
    docker: Holding, native: dict[str, Any], text: str, site: Site, docker_serves: Facts, tmp_path: Path
) -> None:
    lines = found(site, docker_serves, "redis", docker, native, tmp_path)
    assert len(lines) == bool(text) and all(text in line and not line.startswith("!") for line in lines)


@pytest.mark.parametrize(
    ("docker", "native", "text"),
    [
        (LIMITS, {}, "(allkeys-lru) once its data takes 256 MiB; native's limit is none"),
        (LIMITS, {}, f'maxmemory = "{256 * MIB}", maxmemory-policy = "allkeys-lru"'),
        (LIMITS, of_redis(maxmemory="256mb", maxmemory_policy="allkeys-lru"), ""),
        (LIMITS, of_redis(maxmemory="256mb"), "native's limit is of 256 MiB (noeviction)"),
        ({**LIMITS, "maxmemory": "0"}, {}, ""),
        ({**LIMITS, "maxmemory-policy": "noeviction"}, {}, ""),
    ],
)
def test_a_limit_that_native_redis_does_not_have_is_a_warning_with_its_fix(
    docker: dict[str, str], native: dict[str, Any], text: str, site: Site, docker_serves: Facts, tmp_path: Path
) -> None:
    lines = found(site, docker_serves, "redis", Holding(settings=docker), native, tmp_path)
    assert len(lines) == bool(text) and all(text in line and line.startswith("! ") for line in lines)
