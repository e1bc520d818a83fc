"""What a newer islandflow has left on a disk is refused in words, and the older formats are read."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from fabfile.record.store import RecordStore
from fabfile.runner import journal_reader, main, store
from fabfile.runner.edge import backup
from fabfile.runner.wire import events, formats

NEWER = 3
WORDS = rf"has format {NEWER}, and this islandflow reads up to [12]: use a newer one"

TIME = "2026-01-01T12:00:00.000+00:00"


def journal(root: Path, plan: str, version: object, event: str = "start") -> Path:
    """A plan's folder with one event that says it is of this format; None: it says nothing."""
    folder = store.plan_folder(root, plan)
    folder.mkdir(parents=True)
    line = {"kind": event, "step": None, "time": "t", "ms": 0, "evidence": {"name": "cutover"}}
    (folder / "journal.jsonl").write_text(json.dumps(line if version is None else {"version": version, **line}) + "\n")
    return folder


@pytest.mark.parametrize("verb", [["history", "p"], ["history"], ["follow", "p"], ["revert", "p"]])
def test_a_newer_journal_is_refused_by_every_verb(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal(tmp_path, "p", NEWER)
    assert main.main(verb, io.BytesIO(), tmp_path) == 1
    assert re.search(WORDS, json.loads(capsys.readouterr().out)["error"])


@pytest.mark.parametrize("version", [None, formats.JOURNAL])
def test_a_journal_of_this_format_or_of_none_is_read(version: object, tmp_path: Path) -> None:
    assert journal_reader.read_journal(journal(tmp_path, "p", version))[0]["kind"] == "start"


def test_a_journal_of_the_first_format_is_read_as_this_one(tmp_path: Path) -> None:
    line = {"version": 1, "time": TIME, "plan": "p", "step": None, "event": "start", "ms": 0, "evidence": {}}
    (tmp_path / "journal.jsonl").write_text(json.dumps(line) + "\n")
    (read,) = journal_reader.read_journal(tmp_path)
    assert events.event(read) == events.Event(TIME, "p", None, "start", 0, {})


def test_the_impact_is_read_by_its_former_name(tmp_path: Path) -> None:
    ending = events.Event(TIME, "p", None, "finished", 9, {"outcome": "done", "felt": {"app": {"failures": 0}}})
    (tmp_path / "journal.jsonl").write_text(json.dumps(ending.line()) + "\n")
    (read,) = journal_reader.read_journal(tmp_path)
    assert read["evidence"] == {"outcome": "done", "impact": {"app": {"failures": 0}}}


@pytest.mark.parametrize(
    "spoil", [{"kind": "surprise"}, {"kind": None}, {"evidence": None}, {"version": NEWER}], ids=str
)
def test_a_line_that_is_no_event_of_this_format_is_refused_in_words(spoil: dict[str, object]) -> None:
    line = events.Event(TIME, "p", "files", "done", 5, {"verified": []}).line()
    assert events.event(line).line() == line
    with pytest.raises(ValueError, match=r"no event of a journal|use a newer one"):
        events.event({**line, **spoil})
    with pytest.raises(ValueError, match="ms is missing"):
        events.event({key: value for key, value in line.items() if key != "ms"})


def test_a_reboot_reverts_what_this_runner_knows_and_leaves_a_newer_plan_to_the_newer_one(tmp_path: Path) -> None:
    journal(tmp_path, "newer", NEWER)
    journal(tmp_path, "ours", formats.JOURNAL)
    assert store.interrupted_plans(tmp_path) == ["ours"]


def test_a_stored_plan_is_read_back_and_one_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    store.write_plan(tmp_path, {"type": "Plan", "name": "cutover"})
    assert store.read_plan(tmp_path) == {"type": "Plan", "name": "cutover"}
    path = tmp_path / "plan.json"
    path.write_text(path.read_text().replace(f'"version": {formats.PLAN}', f'"version": {NEWER}'))
    with pytest.raises(formats.NewerFormat, match=WORDS):
        store.read_plan(tmp_path)


def test_a_newer_backup_of_the_edge_is_refused_although_its_types_are_unknown(tmp_path: Path) -> None:
    folder = tmp_path / "plans/p/backups/edge-20260101T000000-000001"
    folder.mkdir(parents=True)
    manifest = {"version": NEWER, "database": "/db", "hosts": [{"type": "HostOfTomorrow"}]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(formats.NewerFormat, match=WORDS):
        backup.read_all(tmp_path)


def test_a_newer_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps({"version": NEWER, "id": "p"}))
    with pytest.raises(ValueError, match=WORDS):
        RecordStore(tmp_path).get("p")
