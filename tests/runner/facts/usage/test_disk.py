"""How much folders take up: of those that are there, and never an error."""

from __future__ import annotations

from pathlib import Path

from fabfile.runner.facts.usage.disk import sizes
from fabfile.runner.system.machine import Machine
from tests.runner.support.recorder import Recorder


def test_folders_that_are_there_have_a_size(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    (folder / "file").write_bytes(b"x" * 100_000)
    machine = Machine(tmp_path / "ops")
    found = sizes(machine, [str(folder), str(tmp_path / "none")])
    assert list(found) == [str(folder)] and found[str(folder)] >= 100_000
    assert sizes(machine, []) == {}


def test_what_can_not_be_measured_has_none(tmp_path: Path) -> None:
    assert sizes(Recorder(tmp_path, {"du": (2, "", "no")}), ["/x"]) == {}
