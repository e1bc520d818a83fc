"""The operator's own backup: what it is told, and how its failure is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile.runner.actions.backup import Backup
from fabfile.runner.system.machine import Machine, StepFailed


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def hook(tmp_path: Path, script: str, timeout: float = 20.0) -> Backup:
    """A hook of that script, with one argument."""
    path = tmp_path / "hook"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Backup((str(path), "to ; the cellar"), "/srv/data", "docker", "native", timeout)


def test_the_backup_hook_gets_the_hand_over_in_its_environment(machine: Machine, tmp_path: Path) -> None:
    action = hook(tmp_path, 'echo "$1, $ISLANDFLOW_DATA_ROOT, $ISLANDFLOW_FROM, $ISLANDFLOW_TO"')
    assert not action.inspect(machine).noop_reason
    assert action.apply(machine, {}) == {"said": "to ; the cellar, /srv/data, docker, native"}
    assert action.undo(machine, {})["kept"]


def test_a_failing_backup_hook_fails_the_step_with_its_output(machine: Machine, tmp_path: Path) -> None:
    action = hook(tmp_path, "echo begun; echo 'no space left in the cellar' >&2; exit 3")
    with pytest.raises(StepFailed, match="nothing is handed over: no space left in the cellar") as caught:
        action.apply(machine, {})
    assert caught.value.evidence["code"] == 3


def test_a_backup_hook_that_takes_too_long_is_ended(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="took longer than"):
        hook(tmp_path, "sleep 30", timeout=0.1).apply(machine, {})


def test_a_backup_hook_that_is_missing_fails(machine: Machine) -> None:
    with pytest.raises(StepFailed, match="could not be started"):
        Backup(("/nowhere/hook",), "/srv/data", "docker", "native", 5.0).apply(machine, {})
