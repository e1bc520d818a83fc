"""What every task prints, at both doors: how much, where, in which words and for which terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from fabfile import output
from fabfile.console import Console
from fabfile.output import LineKind
from fabfile.runner.wire import events
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.store import StoreState
from tests.record import journals
from tests.support import json_lines
from tests.support.entry_points import DOORS, TASKS, Run, inv, islandflow
from tests.support.events import begun, event, finished, tally
from tests.support.fake_host import GOOD_HOST, FakeHost

ROOT = Path(__file__).parents[2]
both_doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
PLAN = [
    begun(),
    event("start", "files", 0, what="write", before={}),
    event("done", "files", verified=["it is there"]),
    event("failed", "units", error="no such unit"),
    finished("done", impact={"flow.deltaisland.io": tally()}),
]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    made = FakeHost(Facts(host=GOOD_HOST, owner_error="the owner file holds 'both'"))
    made.events["follow"] = PLAN
    made.stand_in(monkeypatch)
    return made


def attach(door: Callable[..., Run], *words: str) -> Run:
    run = door("attach", "--plan", journals.PLAN, *words)
    assert run.code == 0, run.said
    return run


# ── --json ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_has_every_kind_of_line_and_no_other() -> None:
    kinds = {*get_args(LineKind), *events.KINDS}
    assert set(json_lines.schemas()) == kinds
    rows = re.findall(r"^\| `(\w+)` \|", json_lines.PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(kinds)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"kind": "surprise"}, "the page has no kind 'surprise'"),
        ({"version": 2, "kind": "warning"}, "warning has no text"),
        ({"version": 2, "kind": "warning", "text": 3}, "warning.text is no string"),
        ({"version": 2, "kind": "warning", "text": "t", "more": 1}, "warning has more"),
        ({"version": 1, "kind": "warning", "text": "t"}, "warning.version is not 2"),
        ({"version": 2, "kind": "reboot", "runtime": "native", "names": [1]}, "reboot.names[0] is no string"),
        ({**finished("done").line(), "evidence": {"outcome": "well"}}, "finished.evidence.outcome is none of"),
        ({**finished("done").line(), "ms": True}, "finished.ms is no integer"),
    ],
)
def test_a_line_that_is_not_as_the_page_says_is_noticed(line: dict[str, Any], problem: str) -> None:
    assert any(text.startswith(problem) for text in json_lines.problems(line))


@pytest.mark.parametrize("name", sorted(journals.ENDED))
def test_every_event_is_as_the_page_says(name: str) -> None:
    assert [json_lines.problems(one.line()) for one in journals.ENDED[name]] == [[]] * len(journals.ENDED[name])


@both_doors
def test_an_error_is_the_last_line_and_people_read_it_too(door: Callable[..., Run]) -> None:
    run = door("deploy", "--json")
    assert run.code == 2 and run.out.count("\n") == 1
    assert '"kind": "error"' in run.out and '"exit_code": 2' in run.out and "Error: deploy needs --ref" in run.err


# ── How much, and where ─────────────────────────────────────────────────────────────────────────────────────────────


@both_doors
def test_progress_goes_to_standard_error_and_the_end_to_standard_output(
    door: Callable[..., Run], host: FakeHost
) -> None:
    run = attach(door)
    assert "▸ files write" in run.err and "✓ files 1.5 s" in run.err and "verified" not in run.said
    assert "files" not in run.out and "flow.deltaisland.io" in run.out and "done in 12.3 s" in run.out


@both_doors
@pytest.mark.parametrize("flag", ["-q", "--quiet"])
def test_quiet_leaves_warnings_errors_and_the_result(door: Callable[..., Run], flag: str, host: FakeHost) -> None:
    run = attach(door, flag)
    assert run.err.splitlines() == ["✗ units: no such unit 1.5 s"]
    assert run.out == attach(door).out
    run = door("status", flag)
    assert "owner " in run.out and "warning: the owner file holds 'both'" in run.err


@both_doors
@pytest.mark.parametrize("flag", ["-v", "--verbose"])
def test_verbose_shows_details_and_times_too(door: Callable[..., Run], flag: str, host: FakeHost) -> None:
    plain, run = attach(door), attach(door, flag)
    assert '    verified: ["it is there"]' in run.err.splitlines()
    assert set(plain.err.splitlines()) < set(run.err.splitlines()) and plain.out == run.out
    assert re.search(r"^survey: \d+\.\d\d s$", door("status", flag).err, re.MULTILINE)
    assert "survey" not in door("status").err


@both_doors
def test_quiet_and_verbose_exclude_each_other(door: Callable[..., Run], host: FakeHost) -> None:
    run = door("status", "-q", "-v")
    assert run.code == 2 and "exclude each other" in run.err and host.calls == []


@both_doors
@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_has_both(name: str, door: Callable[..., Run]) -> None:
    said = door(name, "--help").out
    assert all(re.search(rf"-{flag[0]}, --{flag}\b", said) for flag in ("quiet", "verbose"))


def test_settings_end_with_the_task(host: FakeHost) -> None:
    inv("status", "-v")
    assert output.settings() == output.Settings()


# ── The command that the operator types ─────────────────────────────────────────────────────────────────────────────

COMMAND = re.compile(r"\b(inv|islandflow) (?:attach|deploy|history|revert|rollback|status|soak|dns|npm)\b")


@both_doors
def test_messages_name_the_command_that_was_typed(
    door: Callable[..., Run], host: FakeHost, records: Path, tmp_path: Path
) -> None:
    """Errors, warnings, tables, what the runner says, JSON, and the record that is left."""
    name = "inv" if door is inv else "islandflow"
    host.events["follow"] = [
        *journals.STUCK[:-1],
        event("failed", "edge", error="there is no backup x of the edge: `inv npm.restore` lists them"),
        journals.STUCK[-1],
    ]
    run = door("attach", "--plan", journals.PLAN)
    assert run.code == 5 and f"then: {name} revert --plan" in run.err and f"`{name} npm.restore` lists them" in run.err
    host.facts = Facts(host=GOOD_HOST, ops=StoreState(unfinished=(journals.PLAN,)))
    texts = [run.said, door("status").said, door("deploy").said, door("deploy", "--json").said, door("soak").said]
    texts += [(records / f"{journals.PLAN}.{ending}").read_text() for ending in ("md", "html")]
    assert all({found[1] for found in COMMAND.finditer(text)} == {name} for text in texts), texts


def test_help_of_the_installed_tool_names_no_inv() -> None:
    texts = [islandflow(name, "--help").out for name in TASKS]
    assert not [text for text in texts if re.search(r"\binv [a-z]", text)]
    assert "`islandflow history`" in " ".join(islandflow("attach", "--help").out.split())


@pytest.mark.parametrize("text", ["/opt/inv status", "in inv.status", "inv", "x-inv status", "Inv status"])
def test_what_is_no_command_stays(text: str) -> None:
    with output.using(program="islandflow"):
        assert output.with_program(text) == text


# ── Terminals ───────────────────────────────────────────────────────────────────────────────────────────────────────

PRINTING = """
from fabfile import output
from fabfile.console import Console
from fabfile.errors import Failed
from tests.commands.test_console import EVERY_KIND
output.print_in_any_encoding()
shown = Console()
shown.table("servers", ("", "what"), [("✓", "nats"), ("✗", "redis → “none”")])
shown.say("▸ done … 3 × été 日本")
shown.warn("“quoted” – 日本")
with shown.following():
    for event in EVERY_KIND:
        shown.event(event)
output.error(Failed("✗ 日本", state="…", next_step="→"), as_json=True)
"""


def printed(code: list[str], encoding: str, **environ: str) -> tuple[int, str, str]:
    """What a process prints to a terminal of that encoding; each byte must be of it."""
    done = subprocess.run(
        [sys.executable, *code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, **environ},
        capture_output=True,
    )
    return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict"])
def test_a_terminal_of_any_encoding_gets_stand_ins(encoding: str) -> None:
    code, out, err = printed(["-c", PRINTING], encoding) if ":" not in encoding else _strict(encoding)
    assert code == 0 and "UnicodeEncodeError" not in err
    rows = [line.split() for line in out.splitlines()]
    assert ["[ok]", "nats"] in rows and ["[failed]", "redis", "->", '"none"'] in rows
    columns = {line.index(word) for line in out.splitlines()[2:4] for word in ("nats", "redis") if word in line}
    assert len(columns) == 1, "the stand-ins are measured"
    été = "été" if encoding == "latin-1" else "?t?"
    times = "×" if encoding == "latin-1" else "x"
    assert f"> done ... 3 {times} {été} ??" in out
    assert 'warning: "quoted" - ??' in err and "[ok] docker: stop 2.1 s" in err and "Error: [failed] ??" in err


def _strict(encoding: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PRINTING],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    return done.returncode, done.stdout.decode("ascii"), done.stderr.decode("ascii")


@pytest.mark.parametrize("words", [["--list"], ["cutover", "--help"], ["deploy"]])
@pytest.mark.parametrize("door", ["inv", "islandflow"])
def test_the_doors_themselves_print_in_ascii(door: str, words: list[str]) -> None:
    program = str(Path(sys.executable).with_name(door))
    if door == "islandflow" and words == ["--list"]:
        words = ["--help"]
    code, out, err = printed([program, *words], "ascii")
    assert "Traceback" not in err and "UnicodeEncodeError" not in err
    assert code == (2 if words == ["deploy"] else 0) and (out or err)


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_no_color_leaves_no_style(
    environ: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    shown = Console()
    shown.table("", ("", "what"), [("✗", "redis")])
    shown.warn("careful")
    assert ("\x1b[" in "".join(capsys.readouterr())) is coloured
