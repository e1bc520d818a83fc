"""The inventory: what it yields."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile.errors import UsageError
from fabfile.inventory import RUNTIMES, SCOPES, load
from tests.support.inventories import INVENTORY, REMOVED, problems, site


def test_an_inventory_yields_a_typed_site() -> None:
    loaded = load(INVENTORY, {})
    assert (loaded.web.port, loaded.api.port, loaded.api.health) == (3000, 4000, "/health")
    assert loaded.host().address == "203.0.113.10"
    assert [server.unit for server in loaded.servers] == [
        "islandflow-nats.service",
        "islandflow-redis.service",
        "islandflow-clickhouse.service",
    ]


@pytest.mark.parametrize(
    ("scope", "services"),
    [
        ("full", ["web", "api", "compute", "candles", "ingest-options", "ingest-equities"]),
        ("web", ["web"]),
        ("api", ["api"]),
        ("services", ["api", "compute", "candles", "ingest-options", "ingest-equities"]),
        ("workers", ["compute", "candles", "ingest-options", "ingest-equities"]),
    ],
)
def test_a_scope_follows_from_the_kinds_of_the_services(scope: str, services: list[str]) -> None:
    assert [service.name for service in load(INVENTORY, {}).scope(scope)] == services


def test_the_scopes_and_runtimes_are_the_known_ones() -> None:
    loaded = load(INVENTORY, {})
    assert all(loaded.scope(scope) for scope in SCOPES)
    assert tuple(type(loaded.runtimes).model_fields) == RUNTIMES


def test_an_unknown_scope_or_host_lists_the_choices() -> None:
    loaded = load(INVENTORY, {})
    with pytest.raises(UsageError, match="full, web, api, services, workers"):
        loaded.scope("everything")
    with pytest.raises(UsageError, match="Choose the host from: vps"):
        loaded.host("other")


def test_relative_paths_follow_what_they_are_relative_to(tmp_path: Path) -> None:
    loaded = site(tmp_path, {"app.checkout": "/srv/flow/", "app.data_root": "/data", "edge.root": "/srv/npm"})
    assert loaded.app.checkout == "/srv/flow"
    assert loaded.app.env_file == "/srv/flow/.env"
    assert loaded.api.directory == "/srv/flow/services/api"
    assert loaded.runtimes.docker.file == "/srv/flow/deployment/docker/docker-compose.yml"
    assert loaded.runtimes.docker.env_file == "/srv/flow/deployment/docker/.env"
    assert loaded.infra.redis.data == "/data/redis"
    assert loaded.edge.database == "/srv/npm/data/database.sqlite"


def test_a_directory_may_be_the_checkout_itself(tmp_path: Path) -> None:
    loaded = site(tmp_path, {"services.api.directory": ".", "services.web.directory": "/home/delta/islandflow"})
    assert loaded.api.directory == loaded.web.directory == loaded.app.checkout


def test_how_a_service_is_built_and_stopped_may_be_left_out(tmp_path: Path) -> None:
    api = site(tmp_path).api
    assert (api.build_argv, api.build_timeout, api.build_env) == ((), 900, ())
    assert (api.stop_signal, api.stop_timeout) == ("SIGTERM", 10)


def test_an_absolute_path_stays_where_it_is(tmp_path: Path) -> None:
    loaded = site(tmp_path, {"app.env_file": "/etc/flow.env", "infra.nats.data": "/mnt/nats"})
    assert (loaded.app.env_file, loaded.infra.nats.data) == ("/etc/flow.env", "/mnt/nats")


def test_public_addresses_follow_from_domains_and_port(tmp_path: Path) -> None:
    loaded = site(tmp_path, {"public.https_port": 8443, "edge.app_domain": "app.example.org"})
    assert loaded.public.app_url == "https://app.example.org:8443/"
    assert loaded.public.api_health_url == "https://api.flow.deltaisland.io:8443/health"


def test_servers_have_one_address_natively_and_another_in_docker(tmp_path: Path) -> None:
    redis = site(tmp_path, {"infra.redis.port": 6380}).infra.redis
    assert (redis.url, redis.image_url) == ("redis://127.0.0.1:6380", "redis://redis:6379")


def test_a_home_directory_is_expanded_in_local_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    host = site(tmp_path, {"hosts.vps.key": "~/.ssh/id", "hosts.vps.known_hosts": "/etc/known"}).host()
    assert (host.key, host.known_hosts) == (Path("/home/someone/.ssh/id"), Path("/etc/known"))


def test_nothing_in_it_can_be_changed() -> None:
    loaded = load(INVENTORY, {})
    with pytest.raises(ValueError, match="frozen"):
        loaded.app.user = "root"


def test_dns_is_left_out_where_another_keeps_the_zone(tmp_path: Path) -> None:
    assert site(tmp_path, {"dns": REMOVED}).dns is None


def test_a_dns_record_has_an_automatic_ttl_unless_told_otherwise(tmp_path: Path) -> None:
    dns = site(tmp_path, {"dns.records.app.ttl": REMOVED, "dns.api": "http://127.0.0.1:8080/v4/"}).dns
    assert dns and (dns.api, dns.records["app"].ttl, dns.records["api"].name) == ("http://127.0.0.1:8080/v4", 1, "api")


def test_several_hosts_need_a_default(tmp_path: Path) -> None:
    second = {"address": "198.51.100.7", "user": "delta"}
    assert site(tmp_path, {"hosts.spare": second}).host("spare").port == 22
    assert problems(tmp_path, {"hosts.spare": second, "default_host": REMOVED}) == (
        "default_host: is missing, and there are several hosts: vps, spare",
    )


def test_a_single_host_needs_none(tmp_path: Path) -> None:
    assert site(tmp_path, {"default_host": REMOVED}).host().name == "vps"
