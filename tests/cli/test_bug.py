"""A fault of the tool's own: no traceback, a true exit code, and its trace in a file with the secrets masked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from fabfile import bug, output
from fabfile.bug import RunnerFault
from fabfile.commands.options import task
from fabfile.remote import refusals
from fabfile.runner import main


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where traces are written."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(bug, "_plans", {})
    return tmp_path


@task
def broken(c: Context, json: bool = False) -> None:
    """Fail as no task should."""
    print("{}" if json else "")
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
    monkeypatch.setattr(bug, "_plans", {})
    bug.plan_begins("20260101T000000-cutover-abc")
    report = bug.report(KeyError("x"))
    assert "20260101T000000-cutover-abc may have begun" in report.state and "inv attach --plan 2026" in report.next_step


def test_of_a_plan_that_has_ended_it_is_said_where_its_end_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bug, "_plans", {})
    bug.plan_begins("p")
    bug.plan_has_ended("p")
    report = bug.report(KeyError("x"))
    assert report.state == "The plan p has ended there." and "inv history --plan p" in report.next_step


@pytest.mark.parametrize("trace", [None, 5, ["x"]])
def test_whatever_the_vps_calls_a_trace_is_none_of_ours(trace: Any) -> None:
    assert "RunnerFault: odd" in bug.report(RunnerFault("odd", trace)).message


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fab", "-H", "127.0.0.1:ssh", "status"], "'ssh'"),
        (["fab", "-S", "/no/such/ssh_config", "status"], "/no/such/ssh_config"),
        (["inv", "-f", "CONFIGURATION", "status"], "expected ',' or ']'"),
    ],
    ids=lambda value: value[1] if isinstance(value, list) else "",
)
def test_what_invoke_and_fabric_let_through_ends_in_words(words: list[str], says: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [b")
    program, *rest = (str(broken) if word == "CONFIGURATION" else word for word in words)
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *rest],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {program} refuses: ")
    assert says in done.stderr
    assert f"{program} --help" in done.stderr
    assert "Traceback" not in done.stderr


def test_of_code_that_is_ours_it_is_a_fault_and_else_the_host_or_the_option(
    capsys: pytest.CaptureFixture[str], state: Path
) -> None:
    def ending(error: BaseException) -> int:
        with pytest.raises(SystemExit) as leaving:
            bug.uncaught(type(error), error, error.__traceback__)
        return int(str(leaving.value.code))

    assert ending(ConnectionRefusedError("refused")) == 6
    assert ending(KeyboardInterrupt()) == 130
    assert list(state.iterdir()) == []
    try:
        output.plain("text", "no-such-encoding")
    except LookupError as error:
        assert ending(error) == 70
    assert trace(capsys.readouterr().err).exists()


def test_a_full_disk_does_not_hide_how_a_command_ends() -> None:
    code = "from invoke.context import Context; from tests.cli.test_bug import broken; broken(Context(), json=True)"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert "this is a fault of the tool itself" in done.stderr
    assert done.returncode == 70


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
