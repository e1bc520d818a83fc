"""How exposed native units run, by the real systemd-analyze: what a container kept from its program stays kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile import survey
from fabfile.inventory import Site, load
from fabfile.runner.facts.scripts import exposures
from fabfile.runner.system.machine import Machine
from tests.support.inventories import INVENTORY, site

# Never higher than this. Another version of systemd may count a little differently: a bound has some room.
BOUNDS = {"islandflow-redis": 1.5, "islandflow-nats": 1.5, "islandflow-clickhouse": 2.0}
APP_BOUND = 6.6  # systemd counts users' units as if root ran them, and a user's manager can deny little more
HOME_BOUND = 1.9  # of NATS and Redis, whose data is in somebody's home
SEAL_BOUND = 9.6  # it mounts, which is all that it does


@pytest.fixture(scope="module")
def project() -> Site:
    return load(INVENTORY, {})


def test_no_unit_is_more_exposed_than_it_was(project: Site, tmp_path: Path) -> None:
    scores, error = exposures(Machine(tmp_path), survey.unit_files(project))
    assert not error
    bounds = {f"{name}.service": bound for name, bound in BOUNDS.items()}
    bounds |= {service.unit: APP_BOUND for service in project.scope("full")} | {project.seal_unit: SEAL_BOUND}
    assert set(scores) == set(bounds)
    assert {unit: score for unit, score in scores.items() if score > bounds[unit]} == {}


def test_data_in_a_home_costs_little(tmp_path: Path) -> None:
    made = site(tmp_path, {"app.data_root": "/home/delta/data"})
    scores, _ = exposures(Machine(tmp_path), survey.unit_files(made))
    assert all(1.2 < scores[f"islandflow-{name}.service"] <= HOME_BOUND for name in ("redis", "nats"))


def test_every_unit_compiles_code_only_where_its_program_does(project: Site) -> None:
    """Bun and ClickHouse compile what they run: without such memory they would not start."""
    denied = {file.name for file in survey.unit_files(project) if "\nMemoryDenyWriteExecute=yes\n" in file.text}
    assert denied == {"islandflow-redis.service", "islandflow-nats.service"}


def test_users_units_use_nothing_that_a_user_s_manager_is_not_allowed_to_do(project: Site) -> None:
    """Mounts and user namespaces are refused to users on many systems; a unit that needs them would not start there."""
    of_app = [file.text for file in survey.unit_files(project) if file.user]
    privileged = ("Private", "Protect", "CapabilityBoundingSet", "BindPaths", "ReadOnlyPaths", "ReadWritePaths")
    lines = [line for text in of_app for line in text.splitlines()]
    assert of_app and [line for line in lines if line.startswith(privileged)] == []
