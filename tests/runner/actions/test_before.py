"""What was recorded before an action acted is read back from plain JSON, and refused in words where it is not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fabfile.runner.actions.before import Before, rows, table, text, texts
from fabfile.runner.actions.data import SetOwner
from fabfile.runner.system.machine import StepFailed
from tests.runner.support.recorder import Recorder

KEPT: Before = json.loads(
    """{"owner": "native", "down": ["web", "api"], "owners": {"/a": "1:1"}, "files": [{"path": "/x"}]}"""
)


def test_a_snapshot_is_read_back() -> None:
    assert text(KEPT, "owner") == "native"
    assert texts(KEPT, "down") == ["web", "api"]
    assert table(KEPT, "owners") == {"/a": "1:1"}
    assert rows(KEPT, "files") == [{"path": "/x"}]


@pytest.mark.parametrize(
    ("read", "key", "problem"),
    [
        (text, "none", "none is missing"),
        (texts, "none", "none is missing"),
        (text, "down", "is no text: down"),
        (texts, "owner", "is no list: owner"),
        (rows, "owners", "is no list: owners"),
        (table, "down", "is no table: down"),
    ],
)
def test_a_key_missing_in_a_snapshot_is_named(read: Callable[[Before, str], object], key: str, problem: str) -> None:
    with pytest.raises(StepFailed, match=problem):
        read(KEPT, key)


def test_an_undo_without_its_record_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "owner").write_text("native\n")
    with pytest.raises(StepFailed, match="lacks what was there before: owner is missing"):
        SetOwner(str(tmp_path / "owner"), "docker").undo(Recorder(tmp_path), {})
    assert (tmp_path / "owner").read_text() == "native\n"
