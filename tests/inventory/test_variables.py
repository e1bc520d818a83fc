"""The inventory: the variables of the old scripts that win over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile.inventory import paths, variables
from tests.support.inventories import SHIPPED, problems, site

VARIABLES = [
    ("NPM_ROOT", "/srv/npm", "edge.root"),
    ("NPM_DB_PATH", "/srv/npm.sqlite", "edge.database"),
    ("NPM_CONTAINER_NAME", "proxy", "edge.container"),
    ("ISLANDFLOW_APP_DOMAIN", "app.example.org", "edge.app_domain"),
    ("ISLANDFLOW_API_DOMAIN", "api.example.org", "edge.api_domain"),
    ("ISLANDFLOW_NATIVE_HOST", "192.0.2.9", "runtimes.native.upstream"),
    ("ISLANDFLOW_DOCKER_WEB_HOST", "flow-web", "runtimes.docker.web_host"),
    ("ISLANDFLOW_DOCKER_API_HOST", "flow-api", "runtimes.docker.api_host"),
    ("ISLANDFLOW_WEB_PORT", "3100", "services.web.port"),
    ("ISLANDFLOW_API_PORT", "4100", "services.api.port"),
    ("ISLANDFLOW_DATA_ROOT", "/srv/data", "app.data_root"),
    ("DEPLOY_PUBLIC_APP_URL", "https://app.example.org/x", "public.app_url"),
    ("DEPLOY_PUBLIC_API_HEALTH_URL", "http://api.example.org/up", "public.api_health_url"),
    ("DEPLOY_SSH_KEY_PATH", "/home/me/key", "hosts.vps.key"),
]


@pytest.mark.parametrize(("name", "value", "path"), VARIABLES)
def test_a_variable_of_the_old_scripts_wins(tmp_path: Path, name: str, value: str, path: str) -> None:
    ((_, found),) = paths.find(site(tmp_path, env={name: value}).model_dump(mode="json"), path)
    assert str(found) == value


def test_every_variable_is_tried_above() -> None:
    assert {name for name, _, _ in VARIABLES} == set(variables.PLACES)


def test_every_variable_is_explained_in_the_inventory() -> None:
    assert all(f"#   {name} " in SHIPPED.read_text() for name in variables.PLACES)


def test_the_npm_database_follows_the_npm_root(tmp_path: Path) -> None:
    assert site(tmp_path, env={"NPM_ROOT": "/srv/npm"}).edge.database == "/srv/npm/data/database.sqlite"


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert site(tmp_path, env={"ISLANDFLOW_API_PORT": "", "NPM_ROOT": ""}) == site(tmp_path)


@pytest.mark.parametrize("value", ["70000", "four", "4000 ", "-1", "٤٠٠٠", "9" * 5000])
def test_a_bad_variable_is_named(tmp_path: Path, value: str) -> None:
    (line,) = problems(tmp_path, env={"ISLANDFLOW_API_PORT": value})
    assert line.startswith("ISLANDFLOW_API_PORT (in place of services.api.port): ")
