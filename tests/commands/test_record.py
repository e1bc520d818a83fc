"""Records: left by every plan that is followed to its end, found again, and made issues of."""

from __future__ import annotations

import json
import os
import webbrowser
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fabfile import public
from fabfile.commands import follow, record, session
from fabfile.commands.apply import Operation
from fabfile.console import Console
from fabfile.errors import Failed, LockHeld, UsageError
from fabfile.record import RecordStore
from fabfile.runner.wire.events import Event
from fabfile.runner.wire.store import StoreState
from tests.record import journals
from tests.support.fake_host import FakeHost


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    monkeypatch.setattr(public, "until_good", lambda *asked, **options: journals.CHECKS[:2])
    made = FakeHost()
    made.stand_in(monkeypatch)
    return made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pages that a browser was asked to show."""
    shown: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not shown.append(address))
    return shown


def attach(host: FakeHost, events: list[Event] = journals.DONE) -> None:
    """Follow a plan to its end."""
    host.events["follow"] = events
    follow.attach(session.begin(object()), journals.PLAN)


def decided(events: list[Event]) -> list[Event]:
    """The same, as the runner gives them once the plan waits no longer."""
    return [replace(e, evidence={**e.evidence, "decided": True}) if e.kind == "waiting" else e for e in events]


def bd(folder: Path, script: str) -> dict[str, str]:
    """An environment in which `bd` is this."""
    program = folder / "bin/bd"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:/usr/bin:/bin", "ISLANDFLOW_RECORDS": str(folder / "records")}


def decisions(shelf: RecordStore) -> list[tuple[str, str]]:
    made = shelf.get(journals.PLAN)
    assert made
    return [(one.title.split()[0], one.issue) for one in made.decisions]


def test_following_a_plan_to_its_end_leaves_a_page_markdown_and_data(
    host: FakeHost, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(host)
    made = RecordStore(records).get(journals.PLAN)
    assert made and any("is overridden for native" in text for text in made.limitations)
    assert sorted(path.suffix for path in records.iterdir()) == [".html", ".json", ".md"]
    assert f"record: {records / journals.PLAN}.html" in capsys.readouterr().out
    assert all(path.stat().st_mode & 0o077 == 0 for path in (records, *records.iterdir()))


def test_a_plan_that_is_taken_back_leaves_one_too(host: FakeHost, records: Path) -> None:
    with pytest.raises(Failed):
        attach(host, journals.REVERTED)
    made = RecordStore(records).get(journals.PLAN)
    assert made and made.outcome == "reverted" and made.diffs == () and made.decisions == ()
    assert [text for text in made.limitations if "is overridden for docker" in text], "it is docker that is up again"


def test_reverting_a_plan_later_makes_its_record_from_the_whole_journal(host: FakeHost, records: Path) -> None:
    host.facts = replace(host.facts, ops=StoreState(unfinished=(journals.PLAN,)))
    host.past, host.events["revert"] = journals.STUCK, journals.REVERTED_LATER[len(journals.STUCK) :]
    with pytest.raises(Failed):
        Operation(object()).revert("", last=True)
    made = RecordStore(records).get(journals.PLAN)
    assert made and [course.reverting for course in made.courses] == [False, True]


def test_a_record_that_cannot_be_kept_changes_nothing_about_the_plan(
    host: FakeHost, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records.write_text("a file in its place")
    attach(host)
    assert "the record could not be kept" in capsys.readouterr().err


def test_a_journal_that_cannot_be_understood_hides_nothing_about_the_plan(
    host: FakeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(host, [journals.DONE[0], replace(journals.DONE[2], time="at noon"), journals.DONE[-1]])
    out, err = capsys.readouterr()
    assert "the record could not be kept" in err and "done in" in out


def test_a_plan_that_never_began_has_no_record(host: FakeHost, records: Path) -> None:
    with pytest.raises(LockHeld):
        attach(host, [journals.at(0, "finished", outcome="locked", holder={"who": "bo"})])
    assert not records.exists()


def test_no_secret_of_the_environment_reaches_a_record(
    host: FakeHost, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "t0ken-value")
    attach(host)
    texts = [path.read_text() for path in records.iterdir()]
    assert all("Rotate the Cloudflare token" in text and "t0ken-value" not in text for text in texts)


def test_the_last_one_is_opened(host: FakeHost, records: Path, opened: list[str]) -> None:
    attach(host)
    record.open_one(session.begin(object()), "", os.environ)
    assert opened == [(records / f"{journals.PLAN}.html").as_uri()]
    assert ("journal", journals.PLAN) not in host.calls


def test_one_that_was_not_followed_here_is_made_from_the_journal_on_the_vps(
    host: FakeHost, records: Path, opened: list[str]
) -> None:
    host.past = journals.DONE
    record.open_one(session.begin(object()), journals.PLAN, os.environ)
    assert len(opened) == 1 and (records / f"{journals.PLAN}.md").exists()
    assert ("journal", journals.PLAN) in host.calls


def test_without_a_browser_the_path_is_told(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(host)
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    record.open_one(session.begin(object()), "", os.environ)
    assert "No browser is available here: open the file above." in capsys.readouterr().out


def test_there_may_be_no_record_yet(host: FakeHost) -> None:
    with pytest.raises(UsageError, match="no record"):
        record.open_one(session.begin(object()), "", os.environ)
    with pytest.raises(UsageError, match="there is no plan nowhere"):
        record.open_one(session.begin(object()), "nowhere", os.environ)


@pytest.mark.parametrize("text", ["", "{}", '{"id": 3}'])
def test_a_broken_record_is_told_and_never_trusted(host: FakeHost, records: Path, text: str) -> None:
    records.mkdir()
    (records / f"{journals.PLAN}.json").write_text(text)
    with pytest.raises(Failed, match="is no record"):
        record.open_one(session.begin(object()), "", os.environ)


def test_records_are_listed_and_a_broken_one_hides_no_other(
    host: FakeHost, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(host)
    (records / "20250101T000000-cutover-000000.json").write_text("{")
    capsys.readouterr()
    record.list_all(Console(), {"ISLANDFLOW_RECORDS": str(records)})
    out, err = capsys.readouterr()
    assert "0 of 400" in out and "is no record" in err


def test_without_beads_the_open_decisions_are_a_checklist(
    host: FakeHost, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(host)
    record.follow_up(Console(), "", False, {"ISLANDFLOW_RECORDS": str(records), "PATH": "/nowhere"})
    out = capsys.readouterr().out
    assert "[ ] Keep native as the default runtime" in out and "bd is not installed" in out


def test_beads_gets_each_decision_once(host: FakeHost, records: Path, tmp_path: Path) -> None:
    attach(host)
    log = tmp_path / "log"
    environ = bd(tmp_path, f'printf \'%s|\' "$@" >>{log}; echo >>{log}; echo \'{{"id": "isle-7"}}\'')
    for _ in range(2):
        record.follow_up(Console(), "", False, environ)
    called = log.read_text().split("create|")[1:]
    assert len(called) == len(decisions(RecordStore(records))) and "Left open by" in called[0]
    assert all(issue == "isle-7" for _, issue in decisions(RecordStore(records)))
    assert "isle-7" in (records / f"{journals.PLAN}.html").read_text()


def test_dry_makes_no_issue(host: FakeHost, records: Path, tmp_path: Path) -> None:
    attach(host)
    record.follow_up(Console(), "", True, bd(tmp_path, f"touch {tmp_path}/called"))
    assert not (tmp_path / "called").exists() and not any(issue for _, issue in decisions(RecordStore(records)))


def test_what_beads_says_is_told_and_what_it_made_before_is_kept(
    host: FakeHost, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "t")
    attach(host)
    count = tmp_path / "count"
    once = f"if [ -e {count} ]; then echo 'no database: run bd init' >&2; exit 1; fi; touch {count}"
    with pytest.raises(Failed, match="run bd init"):
        record.follow_up(Console(), "", False, bd(tmp_path, f'{once}; echo \'{{"id": "isle-1"}}\''))
    issues = [issue for _, issue in decisions(RecordStore(records))]
    assert issues[0] == "isle-1" and not any(issues[1:]) and len(issues) > 1


def test_json_tells_each_decision(host: FakeHost, records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attach(host)
    capsys.readouterr()
    environ: Mapping[str, str] = {"ISLANDFLOW_RECORDS": str(records), "PATH": "/nowhere"}
    record.follow_up(Console(json=True), journals.PLAN, False, environ)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["kind"] for line in lines} == {"decision"} and lines[0]["title"].startswith("Keep native")


def test_attaching_to_a_plan_that_was_decided_keeps_the_checks_that_its_record_has(
    host: FakeHost, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(host)
    checked = RecordStore(records).get(journals.PLAN)
    past = decided(journals.DONE)
    attach(host, past)
    assert checked and checked.checks and RecordStore(records).get(journals.PLAN) == checked


def test_attaching_to_a_plan_that_was_decided_makes_the_record_that_is_not_there(host: FakeHost, records: Path) -> None:
    attach(host, decided(journals.DONE))
    assert RecordStore(records).get(journals.PLAN)
