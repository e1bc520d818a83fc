"""After a reboot or a crash: whether the VPS is about to take a plan back by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fabfile.runner import recovery
from tests.runner.support.recorder import Recorder


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
