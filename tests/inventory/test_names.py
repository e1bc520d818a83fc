"""Names that are valid elsewhere, in Linux, Docker, URLs and editors, are valid in an inventory."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import pytest

from fabfile import survey, workloads
from fabfile.inventory import load
from fabfile.rendering import files
from fabfile.runner.edge.routes import managed_block
from fabfile.runner.wire.edge import Upstream
from tests.support.inventories import INVENTORY, problems, site


@pytest.mark.parametrize("user", ["john.doe", "John", "_runner", "svc-app_1"])
def test_a_user_may_have_a_name_that_linux_allows(user: str, tmp_path: Path) -> None:
    loaded = site(tmp_path, {"app.user": user, "app.group": user})
    (unit, *_) = files.app(loaded, bind="172.18.0.1")
    assert (unit.owner, unit.group) == (user, user)
    assert {file.user for file in survey.unit_files(loaded) if file.user} == {user}


@pytest.mark.parametrize("user", ["", ".doe", "-x", "a b", "a:b", "root\n", "0"])
def test_another_text_is_no_user(user: str, tmp_path: Path) -> None:
    assert any(line.startswith("app.user: ") for line in problems(tmp_path, {"app.user": user}))


def test_containers_and_services_may_have_docker_compose_s_older_names(tmp_path: Path) -> None:
    hosts = {"runtimes.docker.web_host": "islandflow_web_1", "runtimes.docker.api_host": "islandflow_api.1"}
    worker = {"kind": "worker", "directory": "services/compute", "argv": ["run", "src/index.ts"]}
    loaded = site(tmp_path, {**hosts, "services.ingest_news": worker})
    assert (loaded.runtimes.docker.web_host, loaded.runtimes.docker.api_host) == tuple(hosts.values())
    assert loaded.services["ingest_news"].unit == "islandflow-ingest_news.service"


@pytest.mark.parametrize("prefix", ["option_prints", "v1.0", "V2", "_internal", "2024", ".well-known"])
def test_a_prefix_may_be_what_a_path_begins_with(prefix: str, tmp_path: Path) -> None:
    loaded = site(
        tmp_path,
        {
            "edge.api_prefixes": [prefix],
            "public.routes": {prefix: f"/{prefix}/x"},
            "public.lookups": {},
            "public.websocket": f"/{prefix}/live",
        },
    )
    assert loaded.edge.api_prefixes == (prefix,)
    assert prefix.replace(".", r"\.") in managed_block(loaded.edge.api_prefixes, Upstream("api", 4000))


@pytest.mark.parametrize("prefix", ["", ".", "..", "a/b", "a|b", "a*", "a b", "(a)", "a$"])
def test_another_text_is_no_prefix(prefix: str, tmp_path: Path) -> None:
    assert any("edge.api_prefixes[0]" in line for line in problems(tmp_path, {"edge.api_prefixes": [prefix]}))


@pytest.mark.parametrize("name", ["Web", "api.v1", "ingest_News-2"])
def test_a_service_may_have_a_name_that_compose_allows(name: str, tmp_path: Path) -> None:
    worker = {"kind": "worker", "directory": "services/compute", "argv": ["run", "src/index.ts"]}
    changes: Any = {("services", name): worker}  # a name may hold dots itself
    loaded = site(tmp_path, changes)
    assert loaded.services[name].unit == f"islandflow-{name}.service"
    assert name in [one.name for one in workloads.everything(loaded, "docker")]


@pytest.mark.parametrize("name", ["api:prints@v1", "a+b=c", "prints#1"])
def test_a_durable_may_have_a_name_that_nats_allows(name: str, tmp_path: Path) -> None:
    assert site(tmp_path, {"services.api.durables": [name]}).services["api"].durables == (name,)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a*", "a>", "a/b", "a\\b", "é", "a\n"])
def test_another_text_is_no_durable(name: str, tmp_path: Path) -> None:
    assert any("services.api.durables[0]" in line for line in problems(tmp_path, {"services.api.durables": [name]}))


@pytest.mark.parametrize("alias", ["my_vps", "vps_1.internal", "_gateway"])
def test_a_host_may_be_an_alias_of_the_ssh_configuration(alias: str, tmp_path: Path) -> None:
    assert site(tmp_path, {"hosts.vps.address": alias}).hosts["vps"].address == alias


@pytest.mark.parametrize("path", ["/flow/[id]", "/flow/@me", "/flow/x;v=1", "/flow?$top=1&filter[a]=b*"])
def test_a_route_may_have_what_urls_have(path: str, tmp_path: Path) -> None:
    assert site(tmp_path, {"public.routes.flow": path}).public.routes["flow"] == path


def test_a_health_path_may_have_a_query(tmp_path: Path) -> None:
    loaded = site(tmp_path, {"services.api.health": "/health?full=1&deep=no"})
    (api,) = [one for one in workloads.everything(loaded, "native") if one.name == "api"]
    assert api.path == "/health?full=1&deep=no"


def test_a_byte_order_mark_before_the_toml_is_read_over(tmp_path: Path) -> None:
    """Some editors write one."""
    file = tmp_path / "inventory.toml"
    file.write_bytes(codecs.BOM_UTF8 + INVENTORY.read_bytes())
    assert load(file, {}) == load(INVENTORY, {})
