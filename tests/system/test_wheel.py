"""The installed tool, where no checkout is, and a VPS."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.wheel import copied, installed, run, wheel_of
from tests.system.conftest import Vps


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """`islandflow` as pipx or uv install it."""
    return installed(wheel_of(copied(tmp_path / "source")), tmp_path / "venv")


def test_it_surveys_and_shows_a_cutover_from_an_empty_folder(untouched: Vps, program: Path, tmp_path: Path) -> None:
    empty = tmp_path / "mine" / "empty"
    empty.mkdir(parents=True)
    here = tmp_path / "mine" / "inventory.toml"
    shutil.copy(untouched.lab.inventory, here)
    named = here.rename(tmp_path / "named.toml")
    assert "no inventory was found" in run(program, "status", cwd=empty, code=2)

    for words, place in (((), here), (("-i", named), None)):
        if place:
            shutil.copy(named, place)
        lines = [json.loads(line) for line in run(program, *words, "status", "--json", cwd=empty).splitlines()]
        (status,) = [line for line in lines if line["kind"] == "status"]
        assert (status["owner"], status["edge"]) == ("docker", "docker"), status
        shown = run(program, *words, "cutover", "--dry", cwd=empty)
        assert "steps would change something" in shown and "edge: point to the parking lot" in shown
        if place:
            place.unlink()

    assert not list(empty.iterdir())
    assert untouched.served_by() == ("docker", "docker", "docker")
    assert untouched.lab.run("ls /var/lib/islandflow/ops/plans", check=False).stdout == ""
