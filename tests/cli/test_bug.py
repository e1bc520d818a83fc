"""A fault of the tool's own: no traceback, a true exit code, and its trace in a file with the secrets masked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from fabfile import bug
from fabfile.bug import RunnerFault
from fabfile.commands.options import task
from fabfile.remote import refusals
from fabfile.runner import main


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where traces are written."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


@task
def broken(c: Context, json: bool = False) -> None:
    """Fail as no task should."""
    raise ZeroDivisionError("the secret is s3cret-token")


def run(capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[str, str]:
    """Standard output and error of a task that fails by a fault of its own."""
    with pytest.raises(Exit) as leaving:
        broken(Context(), **options)
    assert leaving.value.code == 70
    captured = capsys.readouterr()
    return captured.out, captured.err


def trace(text: str) -> Path:
    """The file that a message names."""
    match = re.search(r"\S+/bug-\S+\.txt", text)
    assert match, text
    return Path(match[0])


def test_a_fault_is_said_to_be_one_and_its_trace_is_in_a_file_for_the_operator_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPM_SECRET", "s3cret-token")
    _, err = run(capsys)
    assert "this is a fault of the tool itself, not of the VPS: ZeroDivisionError" in err
    assert "Traceback" not in err and "s3cret-token" not in err and "has started no plan" in err
    file = trace(err)
    assert "Traceback" in file.read_text() and "s3cret-token" not in file.read_text() and "•••" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_with_json_it_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capsys, json=True)
    line = json.loads(out.splitlines()[-1])
    assert (line["kind"], line["exit_code"]) == ("error", 70) and trace(line["next_step"]).exists()


def test_where_no_file_can_be_written_it_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    _, err = run(capsys)
    assert "Its trace could not be written (" in err and "Traceback" not in err


def test_a_plan_that_is_followed_goes_on_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bug, "_plan", [])
    with pytest.raises(KeyError), bug.plan_under_way("20260101T000000-cutover-abc"):
        raise KeyError("x")
    report = bug.report(KeyError("x"))
    assert "20260101T000000-cutover-abc goes on" in report.state and "inv attach --plan 2026" in report.next_step


def test_after_a_plan_has_ended_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bug, "_plan", [])
    with bug.plan_under_way("p"):
        pass
    assert "started no plan" in bug.report(KeyError("x")).state


def test_a_typed_secret_is_masked_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bug, "_typed", set())
    assert bug.mask("typed-secret") == "typed-secret"
    assert "typed-secret" not in bug.report(ValueError("typed-secret")).message


def test_a_fault_of_the_runner_comes_with_the_runners_trace(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def boom(*_: object) -> int:
        raise AttributeError("of the runner")

    monkeypatch.setitem(main.VERBS, "boom", boom)
    with open("/dev/null", "rb") as stdin:
        assert main.main(["boom"], stdin, tmp_path) == 1
    line = capsys.readouterr().out.encode()
    with pytest.raises(RunnerFault) as fault:
        refusals.answer(line)
    report = bug.report(fault.value)
    assert "boom: AttributeError: of the runner" in report.message
    assert 'raise AttributeError("of the runner")' in trace(report.next_step).read_text()
