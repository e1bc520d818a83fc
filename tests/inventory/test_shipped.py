"""The inventory that the project ships describes Islandflow as it is on its main branch."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from fabfile.inventory import Site, load, placeholders
from fabfile.rendering import files
from tests.support.inventories import SHIPPED

BRIDGE = "172.18.0.1"
WORKERS = ("compute", "candles", "ingest-options", "ingest-equities", "ingest-news")


@pytest.fixture(scope="module")
def shipped() -> Site:
    return load(SHIPPED, {})


def lines_of(site: Site, service: str) -> list[str]:
    """The lines of a service's unit."""
    (unit, _) = files.app(site, bind=BRIDGE, services=[site.services[service]])
    return unit.content.decode().splitlines()


def test_it_names_every_service(shipped: Site) -> None:
    assert list(shipped.services) == ["web", "api", *WORKERS]


@pytest.mark.parametrize("name", ["api", *WORKERS])
def test_all_but_web_run_from_the_checkout(shipped: Site, name: str) -> None:
    lines = lines_of(shipped, name)
    assert "WorkingDirectory=/home/delta/islandflow" in lines
    assert f"ExecStart=/home/delta/.bun/bin/bun services/{name}/src/index.ts" in lines


def test_web_is_nexts_server_at_the_bridge(shipped: Site) -> None:
    lines = lines_of(shipped, "web")
    assert "WorkingDirectory=/home/delta/islandflow/apps/web" in lines
    assert f"ExecStart=/home/delta/.bun/bin/bun x next start -H {BRIDGE} -p 3000" in lines
    assert (shipped.web.build_argv, shipped.web.build_env) == (("run", "build"), ("NEXT_PUBLIC_*",))
    assert "apps/web/next-env.d.ts" in shipped.web.build_rewrites


@pytest.mark.parametrize("name", ["web", "api", *WORKERS])
def test_each_is_stopped_as_the_app_wants(shipped: Site, name: str) -> None:
    assert {"KillSignal=SIGINT", "TimeoutStopSec=20"} <= set(lines_of(shipped, name))


def test_it_names_every_durable(shipped: Site) -> None:
    kinds = {
        "api": "option-prints option-nbbo equity-prints equity-quotes equity-candles equity-joins inferred-dark "
        "flow-packets smart-flow smart-flow-alerts news",
        "compute": "option-prints option-nbbo equity-prints equity-quotes",
        "candles": "equity-prints",
        "ingest-options": "equity-quotes",
    }
    for service in shipped.services.values():
        wanted = [f"{service.name}-{kind}" for kind in kinds.get(service.name, "").split()]
        assert sorted(service.durables) == sorted(wanted)


def test_it_names_every_stream_with_the_limits_of_its_kind(shipped: Site) -> None:
    raw = {"OPTIONS_PRINTS", "OPTIONS_NBBO", "EQUITY_PRINTS", "EQUITY_QUOTES"}
    derived = {"OPTIONS_SIGNAL_PRINTS", "EQUITY_CANDLES", "EQUITY_JOINS", "INFERRED_DARK", "FLOW_PACKETS"}
    derived |= {"SMART_FLOW", "SMART_FLOW_ALERTS", "NEWS"}
    assert set(shipped.streams) == raw | derived
    for stream in shipped.streams.values():
        kind, size = ("RAW", 512 << 20) if stream.name in raw else ("DERIVED", 256 << 20)
        assert (stream.max_age_env, stream.max_bytes_env) == (f"STREAM_{kind}_MAX_AGE_MS", f"STREAM_{kind}_MAX_BYTES")
        assert stream.max_bytes == size


def test_the_prefixes_are_the_apps_own_and_each_is_asked_for_something(shipped: Site) -> None:
    own = "ws|replay|prints|joins|nbbo|quotes|dark|flow|candles|history|news|lookup|option-prints|equity-joins"
    own += "|market-command"
    assert "|".join(shipped.edge.api_prefixes) == own
    asked = {path.split("/")[1].partition("?")[0] for path in shipped.public.routes.values()}
    asked |= {lookup.path.split("/")[1] for lookup in shipped.public.lookups.values()}
    assert asked == set(shipped.edge.api_prefixes)


def test_the_native_services_find_everything_by_what_the_inventory_says_elsewhere(shipped: Site) -> None:
    overrides = shipped.runtimes.native.overrides
    assert all(placeholders.held(value) for value in overrides.values()), "an address is written twice"
    assert placeholders.places(shipped) == {
        "NATS_URL": "nats://127.0.0.1:4222",
        "REDIS_URL": "redis://127.0.0.1:6379",
        "CLICKHOUSE_URL": "http://127.0.0.1:8123",
    }
    assert files.overrides(shipped, "native", bind=BRIDGE) == {
        "API_HOST": BRIDGE,
        "API_PORT": "4000",
        "WEB_HOST": BRIDGE,
        "WEB_PORT": "3000",
        "ISLANDFLOW_INTERNAL_API_URL": f"http://{BRIDGE}:4000",
    }


def test_the_adapters_name_the_variables_that_the_app_reads(shipped: Site) -> None:
    adapters = shipped.provider.adapters
    assert set(adapters) == {"synthetic", "alpaca", "databento", "ibkr"}
    alpaca = adapters["alpaca"]
    assert (alpaca.url_env, alpaca.url) == ("ALPACA_REST_URL", "https://data.alpaca.markets")
    assert dict(alpaca.headers) == {
        "apca-api-key-id": "{ALPACA_API_KEY_ID|ALPACA_KEY_ID|ALPACA_API_KEY}",
        "apca-api-secret-key": "{ALPACA_API_SECRET_KEY|ALPACA_SECRET_KEY}",
    }
    assert adapters["databento"].unchecked and adapters["ibkr"].unchecked and not adapters["synthetic"].url_env


def test_the_servers_have_the_limits_and_the_persistence_of_the_apps_own_units(shipped: Site) -> None:
    texts = {file.path.rpartition("/")[2]: file.content.decode().splitlines() for file in files.infra(shipped)}
    assert "LimitNOFILE=1048576" in texts["islandflow-nats.service"]
    assert "LimitNOFILE=262144" in texts["islandflow-clickhouse.service"]
    assert {"appendonly yes", "save 900 1", "save 300 10", "save 60 10000"} <= set(texts["redis.conf"])


def test_what_the_first_cutovers_commit_needs_stands_beside_it() -> None:
    text = SHIPPED.read_text()
    for other in ("API_CONSUMER_RESET", "api-smart-money-events", "CLASSIFIER_HITS", "Bearer {ALPACA_API_KEY}"):
        lines = text.splitlines()
        (number,) = (number for number, line in enumerate(lines) if other in line)
        assert "bdb9d9a" in lines[number] + lines[number - 1], other


def test_every_key_is_explained_or_shown_by_its_value() -> None:
    text = SHIPPED.read_text()
    missing = [key for key in keys(Site) if not re.search(rf"(^|[\s`{{#.\[]){key}\b", text, re.MULTILINE)]
    assert missing == []


def keys(table: type[BaseModel]) -> Iterator[str]:
    """The names of every key below a table; an entry's own name is no key."""
    for name, field in table.model_fields.items():
        if name != "name":
            yield name
        for kind in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys(kind)
