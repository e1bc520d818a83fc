"""What the runner keeps on the VPS, and what it makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner import journal_reader, store
from fabfile.runner.wire.store import StoreState

PLAN = "20260101T000000-cutover-abcd"


def write(root: Path, plan: str, *events: Any) -> Path:
    """A plan's folder with a journal of these events; text is written as it is."""
    folder = store.plan_folder(root, plan)
    folder.mkdir(parents=True)
    lines = [event if isinstance(event, str) else json.dumps(event) + "\n" for event in events]
    (folder / "journal.jsonl").write_text("".join(lines))
    return folder


def start(**evidence: Any) -> dict[str, Any]:
    return {"kind": "start", "step": None, "time": "t0", "ms": 0, "evidence": {"name": "cutover", **evidence}}


def finished(outcome: str, **evidence: Any) -> dict[str, Any]:
    return {"kind": "finished", "step": None, "time": "t1", "ms": 900, "evidence": {"outcome": outcome, **evidence}}


def test_everything_is_for_roots_eyes_only_but_the_way_to_the_owner_file(tmp_path: Path) -> None:
    root = tmp_path / "islandflow" / "ops"
    store.prepare(root)
    store.prepare(root)
    assert {path.name: path.stat().st_mode & 0o777 for path in (root, root / "files", root / "plans")} == {
        "ops": 0o700,
        "files": 0o700,
        "plans": 0o700,
    }
    assert root.parent.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", ".hidden"])
def test_a_name_that_leads_elsewhere_is_no_plan(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a plan's identifier"):
        store.plan_folder(tmp_path, name)


@pytest.mark.parametrize(
    ("events", "outcome", "unfinished", "interrupted"),
    [
        ([], "", False, False),
        ([start()], "", True, True),
        ([start(), finished("done")], "done", False, False),
        ([start(), finished("nothing")], "nothing", False, False),
        ([start(), finished("reverted")], "reverted", False, False),
        ([start(), finished("locked")], "locked", False, False),
        ([start(), finished("stuck")], "stuck", True, False),
        ([start(), finished("stuck"), start(reverting=True)], "stuck", True, False),
        ([start(), finished("stuck"), start(reverting=True), finished("reverted")], "reverted", False, False),
        ([start(), '{"kind": "finished", "evidence": {"outc'], "", True, True),
    ],
)
def test_how_a_plan_ended_and_who_still_needs_hands(
    tmp_path: Path, events: list[Any], outcome: str, unfinished: bool, interrupted: bool
) -> None:
    folder = write(tmp_path, PLAN, *events)
    assert journal_reader.outcome(journal_reader.read_journal(folder)) == outcome
    state = store.read_state(tmp_path)
    assert (state.unfinished == (PLAN,)) == unfinished
    assert (state.last, state.last_outcome) == (PLAN if events else "", outcome)
    assert (store.interrupted_plans(tmp_path) == [PLAN]) == interrupted


def test_a_host_on_which_nothing_ever_ran(tmp_path: Path) -> None:
    root = tmp_path / "none"
    assert store.read_state(root) == StoreState()
    assert store.history(root) == []
    assert store.interrupted_plans(root) == []
    assert journal_reader.read_journal(root) == []
    assert not root.exists(), "looking leaves nothing"


def test_past_plans_in_their_order(tmp_path: Path) -> None:
    impact = {"app": {"outage_ms": 12}}
    write(tmp_path, "2-rollback-a", start(name="rollback", who="bob"), finished("reverted"))
    write(tmp_path, "1-cutover-b", start(who="ann"), finished("done", impact=impact))
    write(tmp_path, "3-cutover-c")
    first, second = store.history(tmp_path)
    assert (first["id"], first["who"], first["outcome"], first["impact"], first["ms"]) == (
        "1-cutover-b",
        "ann",
        "done",
        impact,
        900,
    )
    assert (second["plan"], second["who"], second["outcome"]) == ("rollback", "bob", "reverted")


@pytest.mark.parametrize(
    "line", ["5\n", "[]\n", '{"kind": 1}\n', '{"kind": "start", "step": 1}\n', '{"evidence": {}}\n']
)
def test_a_line_that_no_runner_wrote_makes_a_journal_damaged_and_its_plan_unfinished(tmp_path: Path, line: str) -> None:
    folder = write(tmp_path, PLAN, start(), line, finished("done"))
    with pytest.raises(journal_reader.DamagedJournal, match="is damaged, by a line that is no event"):
        journal_reader.read_journal(folder)
    assert store.read_state(tmp_path).unfinished == (PLAN,) and store.interrupted_plans(tmp_path) == [PLAN]
    (past,) = store.history(tmp_path)
    assert past["id"] == PLAN and "is damaged" in past["plan"]
