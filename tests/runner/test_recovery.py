"""After a reboot or a crash: whether the VPS is about to revert a plan by itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import pytest

from fabfile.runner import recovery
from fabfile.runner.system.machine import Machine, Result, StepFailed
from tests.runner.support.recorder import Recorder
from tests.runner.support.run_options import RunOptions


@pytest.mark.parametrize(
    ("unit", "system", "expected"),
    [
        ("active", "running", True),
        ("activating", "degraded", True),
        ("inactive", "starting", True),
        ("inactive", "initializing", True),
        ("inactive", "running", False),
        ("failed", "degraded", False),
    ],
)
def test_the_way_back_is_under_way_while_its_unit_runs_or_the_system_still_boots(
    tmp_path: Path, unit: str, system: str, expected: bool
) -> None:
    answers: dict[str, Any] = {"systemctl is-active": (0, unit, ""), "systemctl is-system-running": (1, system, "")}
    assert recovery.under_way(Recorder(tmp_path, answers)) == expected


def test_a_boot_that_never_ends_keeps_no_plan_half_way(tmp_path: Path) -> None:
    class Booting(Machine):
        """Where a unit of somebody else's never ends its start."""

        def run(self, argv: Sequence[str], **options: Unpack[RunOptions]) -> Result:
            return super().run(["sleep", "60"], **options)

    recovery.await_boot(Booting(tmp_path), 0.1)


def test_the_runner_that_goes_on_is_that_of_the_last_plan_whatever_else_lies_there(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="no runner is left"):
        recovery.last_runner(tmp_path)
    last, newer = tmp_path / "runner-last.pyz", tmp_path / "runner-newer.pyz"
    for number, path in enumerate((last, newer)):
        path.touch()
        os.utime(path, (number, number))
    assert recovery.last_runner(tmp_path) == newer, "the link is lost"
    (tmp_path / recovery.LINK).symlink_to(last.name)
    assert recovery.last_runner(tmp_path) == last
