"""Journals as they are read: whole lines alone, as they come, and what is none passed over."""

from __future__ import annotations

import json
from pathlib import Path

from fabfile.runner import journal_reader
from tests.runner.test_store import PLAN, finished, start, write


def test_only_whole_lines_are_events_however_they_come(tmp_path: Path) -> None:
    folder = write(tmp_path, PLAN)
    raw = b"".join(
        json.dumps({"kind": "noop", "n": n, "text": "\u00e4\u2028"}, ensure_ascii=False).encode() + b"\n"
        for n in range(9)
    )
    reader, told = journal_reader.Reader(folder), []
    with (folder / "journal.jsonl").open("ab", buffering=0) as file:
        for at in range(0, len(raw), 7):
            file.write(raw[at : at + 7])
            told += reader.new_events()
    assert [event["n"] for event in told] == list(range(9))


def test_lines_that_are_none_are_passed_over(tmp_path: Path) -> None:
    folder = write(tmp_path, PLAN, start(), "\n", '{"cut": \n', "\0\0\n", finished("done"))
    assert [event["kind"] for event in journal_reader.read_journal(folder)] == ["start", "finished"]
