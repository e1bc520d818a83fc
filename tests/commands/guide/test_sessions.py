"""Sessions at a terminal, as an operator has them: keys are typed, and the transcript is what counts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.inventories import REPOSITORY
from tests.support.terminal import Pty

Start = Callable[..., Pty]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts `islandflow` on a terminal, with a VPS where this runtime owns."""

    def started(owner: str, *words: str, columns: int = 120, lines: int = 40, **variables: str) -> Pty:
        unset = ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "TTY_INTERACTIVE")
        env = {name: value for name, value in os.environ.items() if name not in unset}
        env |= {"PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **variables}
        argv = [sys.executable, "-m", "tests.support.operator", owner, *words]
        return Pty(argv, {**env, "PYTHONDONTWRITEBYTECODE": "1"}, columns=columns, lines=lines)

    return started


def test_a_cutover_that_is_declined_begins_nothing(start: Start) -> None:
    with start("docker", "cutover") as terminal:
        terminal.expect("cutover on vps: ")
        terminal.expect("Begin? [y/N]")
        terminal.type("\n")
        assert terminal.end() == 130
    assert "it has not begun, since nobody said yes" in terminal.transcript and "first step" not in terminal.transcript


@pytest.mark.parametrize(
    ("keys", "words"),
    [(b"\x03", "\nError: interrupted"), (b"\x04", "\nError: it has not begun"), (b"\xf6\xff\n", "it has not begun")],
)
def test_whatever_is_no_yes_begins_nothing(keys: bytes, words: str, start: Start) -> None:
    with start("docker", "cutover") as terminal:
        terminal.expect("Begin? [y/N]")
        terminal.type(keys)
        assert terminal.end() == 130
    assert words in terminal.transcript and "Nothing was changed" in terminal.transcript


def test_without_any_standard_input_nobody_is_asked() -> None:
    for words, code in ((["cutover"], 2), (["guide"], 2)):
        command = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "tests.support.operator", "docker", *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
        assert done.returncode == code and "Error: " in done.stderr and "Traceback" not in done.stderr


def test_a_guided_cutover_shows_its_plan_and_then_how_it_stands(start: Start, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    with start("docker", HELD=str(go_on)) as terminal:
        terminal.expect("owner  docker")
        terminal.expect("1  hand the app from Docker to native; islandflow cutover")
        terminal.expect("A number, or Enter for none:")
        terminal.type("1\n")
        terminal.expect("edge: point to the parking lot:")
        terminal.expect("Begin? [y/N]")
        terminal.type("y\n")
        terminal.expect("cutover  1 of 2 steps")
        terminal.expect("▸ second step")
        terminal.expect("requests have waited for")
        terminal.expect("412 served, 2 waiting, 0 failed, longest wait 2.1 s  flow.example")
        go_on.touch()
        assert terminal.end() == 0
    after = terminal.transcript[terminal.transcript.rindex("longest wait") :]
    assert "✓ second step" in terminal.transcript and ": done in" in after
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l"), "the cursor is back"


def test_a_guided_deploy_asks_what_to_deploy_and_to_which_services(start: Start) -> None:
    with start("native", "deploy") as terminal:
        terminal.expect("1  main")
        terminal.expect("Deploy what?")
        terminal.type("1\n")
        terminal.expect("workers: compute")
        terminal.expect("To which services?")
        terminal.type("5\n")
        terminal.expect("deploy on vps: ")
        terminal.expect("get cccccccccccc (main).")
        terminal.expect("Begin? [y/N]")
        terminal.type("yes\n")
        assert terminal.end() == 0
    assert ": done in" in terminal.transcript


def test_ctrl_c_while_a_plan_runs_asks_what_shall_become_of_it(start: Start, tmp_path: Path) -> None:
    for answer, code, words in (("\n", 130, "you stopped watching"), ("r\n", 1, "the operator asked to revert")):
        with start("docker", "cutover", "-y", HELD=str(tmp_path / "never")) as terminal:
            terminal.expect("412 served")
            terminal.type("\x03")
            terminal.expect("[Enter] leave it running, [r] revert it:")
            assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l"), "whoever types sees the cursor"
            terminal.type(answer)
            assert terminal.end() == code
        assert words in terminal.transcript and "Traceback" not in terminal.transcript


def test_a_terminal_that_becomes_narrow_or_has_few_characters_shows_what_fits(start: Start, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"}
    with start("docker", "cutover", "-y", HELD=str(go_on), **ascii_only) as terminal:
        terminal.expect("> second step")
        terminal.expect("412 served, 2 waiting")
        terminal.resize(24, 10)
        terminal.expect("412 served, 2 waiting, \rcutover")
        terminal.resize(1, 1)
        terminal.resize(80, 24)
        terminal.expect("412 served, 2 waiting")
        go_on.touch()
        assert terminal.end() == 0
    assert "[ok] second step" in terminal.transcript and "Traceback" not in terminal.transcript


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1", "TTY_INTERACTIVE": "0"}])
def test_a_dumb_terminal_gets_a_line_for_each_step_and_no_control(start: Start, variables: dict[str, str]) -> None:
    with start("docker", "cutover", "-y", **variables) as terminal:
        assert terminal.end() == 0
    assert "▸ second step start the app" in terminal.transcript and "\x1b[?25l" not in terminal.raw
    assert "412 served" not in terminal.transcript


def test_no_color_leaves_out_colours_and_nothing_else(start: Start) -> None:
    with start("docker", "cutover", "-y", NO_COLOR="1") as terminal:
        terminal.expect("412 served")
        assert terminal.end() == 0
    assert "\x1b[3" not in terminal.raw and "\x1b[1m" not in terminal.raw
