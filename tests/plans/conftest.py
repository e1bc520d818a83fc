"""The project's own inventory, and surveys of its VPS."""

from __future__ import annotations

from typing import Any

import pytest

from fabfile.inventory import Site, load
from fabfile.runner.facts import Facts
from tests import facts
from tests.inventories import INVENTORY


@pytest.fixture(scope="session")
def site() -> Site:
    return load(INVENTORY, {})


@pytest.fixture(scope="session")
def edges(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Facts of an edge that leads to each runtime."""
    return {runtime: facts.edge_to(site, runtime, tmp_path_factory.mktemp(runtime)) for runtime in ("native", "docker")}


@pytest.fixture
def fresh(site: Site, edges: dict[str, dict[str, Any]]) -> Facts:
    return facts.fresh(site, edges["docker"])


@pytest.fixture
def docker_serves(site: Site, edges: dict[str, dict[str, Any]]) -> Facts:
    return facts.serving(site, "docker", edges["docker"])


@pytest.fixture
def native_serves(site: Site, edges: dict[str, dict[str, Any]]) -> Facts:
    return facts.serving(site, "native", edges["native"])
