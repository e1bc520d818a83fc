"""An inventory held against the VPS: each difference with the line to change."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from fabfile.adoption.differences import Difference, differences
from fabfile.inventory import Site
from fabfile.runner.wire.adoption import Adoption, ContainerFound, ProxyFound, StartFound
from fabfile.runner.wire.app import JetStream
from tests.adoption import vps
from tests.support import inventories


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return inventories.site(tmp_path)


@pytest.fixture
def facts(site: Site) -> Adoption:
    return vps.vps(site)


def found(site: Site, facts: Adoption) -> list[Difference]:
    return differences(site, facts, inventories.WRITTEN)[0]


def keys(site: Site, facts: Adoption) -> list[str]:
    return [difference.key for difference in found(site, facts)]


def test_an_inventory_that_says_what_is_there_has_none(site: Site, facts: Adoption) -> None:
    assert differences(site, facts, inventories.WRITTEN) == ([], [])


CHANGES: list[tuple[str, Any]] = [
    ("app.checkout", "/srv/islandflow"),
    ("app.user", "somebody"),
    ("app.bun", "/usr/bin/bun"),
    ("services.api.port", 4100),
    ("services.api.durables", ["api-alerts"]),
    ("services.ingest-equities.durables", ["ingest-equities-gone"]),
    ("runtimes.docker.web_host", "page"),
    ("infra.redis.image", "redis:8"),
    ("infra.redis.image_user", "1:1"),
    ("infra.nats.binary", "/opt/nats"),
    ("streams.OPTIONS_PRINTS.max_bytes", 5),
    ("edge.root", "/srv/npm"),
    ("edge.network", "other"),
    ("edge.admin_port", 8181),
]


@pytest.mark.parametrize(("key", "value"), CHANGES, ids=[key for key, _ in CHANGES])
def test_a_value_that_is_otherwise_is_named_with_its_line(
    key: str, value: Any, site: Site, facts: Adoption, tmp_path: Path
) -> None:
    wrong = inventories.site(tmp_path, {key: value})
    [difference] = [difference for difference in found(wrong, facts) if difference.key == key]
    assert difference.fix.startswith(f"{key} = ")
    right = inventories.WRITTEN
    for part in key.split("."):
        right = right.get(part, [])
    assert str(right if not isinstance(right, list) else "[").strip("/") in difference.fix


def test_the_order_of_durables_says_nothing(facts: Adoption, tmp_path: Path) -> None:
    turned = list(reversed(inventories.WRITTEN["services"]["api"]["durables"]))
    assert keys(inventories.site(tmp_path, {"services.api.durables": turned}), facts) == []


def test_a_service_that_runs_and_is_named_nowhere_is_told(site: Site, facts: Adoption) -> None:
    containers = facts.projects[site.runtimes.docker.project].containers
    news = ContainerFound(
        "ingest-news", "x-ingest-news-1", state="running", start=StartFound(".", ("services/news.ts",))
    )
    assert keys(site, vps.with_project(facts, site, containers={**containers, "ingest-news": news})) == [
        "services.ingest-news"
    ]


def test_a_service_without_a_container_is_told(site: Site, facts: Adoption) -> None:
    containers = dict(facts.projects[site.runtimes.docker.project].containers)
    del containers["ingest-equities"]
    assert keys(site, vps.with_project(facts, site, containers=containers)) == ["services.ingest-equities"]


def test_streams_that_only_one_side_has_are_told(site: Site, facts: Adoption) -> None:
    streams = dict(facts.projects[site.runtimes.docker.project].jetstream.streams)
    streams["NEWS"] = streams.pop("ALERTS")
    there = vps.with_project(facts, site, jetstream=JetStream("docker", streams))
    assert keys(site, there) == ["streams.NEWS", "streams.ALERTS"]


def test_a_stream_without_a_limit_is_no_missing_one(site: Site, facts: Adoption) -> None:
    streams = dict(facts.projects[site.runtimes.docker.project].jetstream.streams)
    streams["ALERTS"] = dataclasses.replace(streams["ALERTS"], max_bytes=-1)
    assert keys(site, vps.with_project(facts, site, jetstream=JetStream("docker", streams))) == []


@pytest.mark.parametrize(("name", "limit"), [("KV_control", 10), ("SCRATCH", -1)])
def test_a_store_and_a_stream_without_a_limit_need_no_table(name: str, limit: int, site: Site, facts: Adoption) -> None:
    streams = dict(facts.projects[site.runtimes.docker.project].jetstream.streams)
    streams[name] = dataclasses.replace(streams["ALERTS"], max_bytes=limit, consumers={})
    assert keys(site, vps.with_project(facts, site, jetstream=JetStream("docker", streams))) == []


def test_without_jetstream_nothing_is_said_of_streams(site: Site, facts: Adoption) -> None:
    down = vps.with_project(facts, site, jetstream=JetStream("docker", problem="no answer"))
    different, unseen = differences(site, down, inventories.WRITTEN)
    assert different == [] and unseen == ["streams and durables: no answer"]


def test_a_project_that_is_not_there_is_all_that_is_said(facts: Adoption, tmp_path: Path) -> None:
    other = inventories.site(tmp_path, {"runtimes.docker.project": "gone"})
    assert keys(other, facts) == ["runtimes.docker.project"]


def test_a_hostname_that_leads_nowhere_is_not_compared_and_told(facts: Adoption, tmp_path: Path) -> None:
    other = inventories.site(tmp_path, {"edge.app_domain": "elsewhere.example.org"})
    _, unseen = differences(other, facts, inventories.WRITTEN)
    assert any(text.startswith("edge.app_domain") and "elsewhere.example.org" in text for text in unseen)


def test_without_docker_nothing_can_be_compared(site: Site) -> None:
    assert differences(site, Adoption(docker_error="Docker does not answer: x"), inventories.WRITTEN) == (
        [],
        ["Docker does not answer: x"],
    )


def test_where_native_owns_the_same_inventory_is_right(site: Site, facts: Adoption) -> None:
    """Containers are stopped, the edge leads to the bridge, the data is the native servers'."""
    assert site.web.port and site.api.port
    there = vps.with_hosts(
        facts,
        ProxyFound(1, (site.edge.app_domain,), True, vps.GATEWAY, site.web.port, ("ws",), vps.GATEWAY, site.api.port),
        ProxyFound(2, (site.edge.api_domain,), True, vps.GATEWAY, site.api.port),
    )
    containers = {
        name: dataclasses.replace(
            container,
            state="exited",
            listens=(),
            answers={},
            networks=dict.fromkeys(container.networks, ""),
            mounts=tuple(dataclasses.replace(mount, owner="103:104") for mount in container.mounts),
        )
        for name, container in facts.projects[site.runtimes.docker.project].containers.items()
    }
    there = dataclasses.replace(vps.with_project(there, site, containers=containers), owner="native")
    assert keys(site, there) == []
