"""What a workflow of GitHub, Forgejo or Gitea sees of a plan: groups, a summary, and the line for an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabfile import output
from fabfile.commands import follow
from fabfile.commands.apply import Operation
from fabfile.console import Console
from fabfile.errors import Failed
from fabfile.record import page
from fabfile.record.model import document
from fabfile.runner.wire.events import Event
from tests.record import journals
from tests.support.entry_points import islandflow
from tests.support.fake_host import FakeHost


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A step of a workflow, and the file for its summary."""
    file = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    return file


def followed(events: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    """Follow a plan that was decided elsewhere, so that no check runs."""
    host = FakeHost()
    host.stand_in(monkeypatch)
    past = [
        e if e.kind != "waiting" else Event(**{**vars(e), "evidence": {"seconds": 1, "decided": True}}) for e in events
    ]
    follow.follow(Operation(object()).session, journals.PLAN, iter(past))


def groups(text: str) -> dict[str, list[str]]:
    """The lines in each group, and outside of all under an empty name. A group ends before the next one begins."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in text.splitlines():
        if line.startswith("::group::"):
            assert not name
            name = line.removeprefix("::group::")
            found[name] = []
        elif line == "::endgroup::":
            assert name
            name = ""
        else:
            found[name].append(line)
    assert not name
    return found


def test_each_phase_of_a_plan_is_a_group(
    summary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    followed(journals.DONE, monkeypatch)
    found = groups(capsys.readouterr().err)
    assert [name for name in found if name] == [
        *("cutover: before anybody waits", "cutover: requests wait", "cutover: public checks"),
    ]
    assert any("✓ app: units" in line for line in found["cutover: before anybody waits"])
    assert any("✓ edge: parked requests to native" in line for line in found["cutover: requests wait"])


def test_what_is_undone_is_a_group_and_the_error_stands_outside(
    summary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Failed):
        followed(journals.REVERTED, monkeypatch)
    found = groups(capsys.readouterr().err)
    assert [name for name in found if name][-1] == "cutover: undo"
    assert sum("undone:" in line for line in found["cutover: undo"]) == 3


def test_the_summary_of_the_step_is_the_outline_of_the_record(summary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary.write_text("what another command has added\n")
    followed(journals.DONE, monkeypatch)
    text = summary.read_text()
    assert text.startswith("what another command has added\n# cutover: done")
    assert "| docker: app stopped |" in text and "the longest wait was 3.0 s" in text
    assert page.outline(document(journals.DONE)) in page.markdown(document(journals.DONE))
    assert "## Changes" not in text and "ExecStart" not in text


def test_a_summary_that_can_t_be_written_is_a_warning(
    summary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary.mkdir()
    followed(journals.DONE, monkeypatch)
    assert "warning: the summary of this step could not be written" in capsys.readouterr().err


def test_elsewhere_there_is_none_of_it(
    summary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    followed(journals.DONE, monkeypatch)
    assert "::" not in capsys.readouterr().err and not summary.exists()
    assert "::error" not in islandflow("deploy", "--ref", "main").said


def test_an_error_is_a_line_that_the_workflow_shows_beside_its_log(summary: Path) -> None:
    run = islandflow("deploy", "--ref", "main")
    (line,) = [line for line in run.err.splitlines() if line.startswith("::error::")]
    assert run.code == 2 and "nobody can be asked" in line and "%0ANext:" in line
    assert output.annotation("50% of a\r\nb") == "::error::50%25 of a%0D%0Ab"


def test_groups_are_no_part_of_json_and_quiet_leaves_them_out(
    summary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with output.using(quiet=True):
        followed(journals.DONE, monkeypatch)
    assert "::" not in capsys.readouterr().err
    Console(json=True).progress("::group::cutover")
    assert capsys.readouterr().err == ""
