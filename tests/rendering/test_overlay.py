"""What Compose lays over the app's own file: variables of the app's services and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from fabfile import workloads
from fabfile.rendering import files
from fabfile.runner.system import docker
from tests.support.inventories import site

OVERRIDES: dict[str, Any] = {"OPTIONS_INGEST_ADAPTER": "synthetic", "GREETING": 'pa$$ "word" #'}


def test_without_overrides_there_is_no_overlay_and_the_own_file_runs_as_it_is(tmp_path: Path) -> None:
    bare = site(tmp_path, {"runtimes.docker.overrides": {}})
    assert files.overlay(bare) == ()
    assert workloads.project(bare).overlay == ""
    assert docker.compose(workloads.project(bare)) == docker.own_compose(workloads.project(bare))


def test_the_overlay_lies_outside_the_checkout_and_is_roots(tmp_path: Path) -> None:
    (file,) = files.overlay(site(tmp_path, {"runtimes.docker.overrides": OVERRIDES}))
    assert (file.path, file.owner, file.mode) == ("/etc/islandflow/docker-compose.overlay.yml", "root", 0o644)


def test_the_overlay_sets_the_variables_of_every_app_service_and_nothing_else(tmp_path: Path) -> None:
    changed = site(tmp_path, {"runtimes.docker.overrides": OVERRIDES})
    laid = yaml.safe_load(files.overlay(changed)[0].content)
    assert list(laid) == ["services"]
    assert list(laid["services"]) == list(changed.services)
    # A $ is written twice: Compose would take a single one for the beginning of a variable.
    environment = {"OPTIONS_INGEST_ADAPTER": "synthetic", "GREETING": 'pa$$$$ "word" #'}
    assert all(service == {"environment": environment} for service in laid["services"].values())
