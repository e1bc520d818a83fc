"""The console script `islandflow`: what Click adds to the tasks."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fabfile import resources
from fabfile.cli import cli
from fabfile.commands import session
from fabfile.commands.hosts import choice
from fabfile.inventory import RUNTIMES, SCOPES
from tests.support import inventories
from tests.support.entry_points import TASKS, Recorder, islandflow, recorded

BIN = Path(sys.executable).parent


def completed(*words: str, incomplete: str = "") -> list[str]:
    """What the shell would offer behind these words, asked as a shell asks."""
    line = " ".join(["islandflow", *words, incomplete])
    asking = {"_ISLANDFLOW_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) + 1)}
    result = CliRunner(env=asking).invoke(cli, prog_name="islandflow")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return [entry.split(",")[1] for entry in result.stdout.split()]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """-i sets ISLANDFLOW_INVENTORY for the process: the test's is put back afterwards."""
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", "")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Any:
    with recorded(monkeypatch) as recorder:
        yield recorder


@pytest.fixture
def three_hosts(tmp_path: Path) -> Path:
    """An inventory with hosts to choose from."""
    vps = inventories.WRITTEN["hosts"]["vps"]
    hosts = {"hosts.vps-two": vps, "hosts.other": {**vps, "address": "192.0.2.9"}}
    file = tmp_path / "three.toml"
    file.write_text(inventories.toml(inventories.changed(hosts)))
    return file


def test_every_task_is_a_command_by_both_spellings(calls: Recorder) -> None:
    for name in TASKS:
        for words in ([name], name.split(".")):
            run = islandflow(*words, "--help")
            assert run.code == 0 and f"Usage: islandflow {' '.join(words)} " in run.out
    assert calls.calls == []


QUIETLY = {"json": False, **choice.OPTIONS, "quiet": False, "verbose": False}
NATIVE = {"to": "native", "way": "auto", "raw_api": "keep"}


def test_sub_groups_run_their_tasks(calls: Recorder) -> None:
    assert islandflow("npm", "switch", "--to", "native", "--dry").code == 0
    assert islandflow("npm.switch", "--to", "native", "--dry").code == 0
    assert calls.calls == [("npm.switch", {**NATIVE, "host": "", "dry": True, "wait": False, **QUIETLY})] * 2


def test_every_group_says_what_it_is_about() -> None:
    listed = islandflow("--help").out
    for name in {name.partition(".")[0] for name in TASKS if "." in name}:
        assert islandflow(name, "--help").code == 0
        assert any(line.split()[:1] == [name] and len(line.split()) > 3 for line in listed.splitlines()), name


@pytest.mark.parametrize("words", [["bogus"], ["npm.bogus"], ["npm", "bogus"], ["cutover.x"], ["npm."], [".npm"], []])
def test_an_unknown_command_is_bad_usage(words: list[str], calls: Recorder) -> None:
    assert islandflow(*words).code == 2
    assert calls.calls == []


@pytest.mark.parametrize("words", [["cutover", "--bogus"], ["cutover", "full"], ["--bogus"], ["cutover", "--scope"]])
def test_bad_usage_ends_with_2(words: list[str], calls: Recorder) -> None:
    run = islandflow(*words)
    assert run.code == 2 and "Error:" in run.err and calls.calls == []


def test_version_is_the_packages() -> None:
    assert islandflow("--version").out.strip() == f"islandflow, version {version('islandflow-cutover')}"


@pytest.mark.parametrize("option", ["-i", "--inventory"])
def test_an_inventory_can_be_chosen(
    option: str, three_hosts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It wins over the environment's, and only its hosts are known."""
    asked: list[str] = []

    def opened(context: Any, site: Any, name: str) -> Any:
        asked.append(site.host(name).address)
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "select_host", opened)
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(tmp_path / "nowhere.toml"))
    assert islandflow(option, str(three_hosts), "status", "--host", "other").code == 130
    assert asked == ["192.0.2.9"]


def test_an_inventory_that_is_not_there_is_told(tmp_path: Path) -> None:
    run = islandflow("-i", str(tmp_path / "nowhere.toml"), "status")
    assert run.code == 2
    assert str(tmp_path / "nowhere.toml") in run.err and "does not exist" in run.err


# ── Completion ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_commands_are_completed() -> None:
    assert completed(incomplete="c") == ["check", "completion", "cutover"]
    assert completed("npm") == ["backup", "diff", "restore", "status", "switch"]


def test_choices_are_completed() -> None:
    assert completed("cutover", "--scope") == list(SCOPES)
    assert completed("npm.switch", "--to") == list(RUNTIMES)
    assert completed("npm", "switch", "--to", incomplete="n") == ["native"]
    assert completed("app.install", "--scope", incomplete="no") == ["none"]


def test_hosts_are_completed_from_the_chosen_inventory(three_hosts: Path) -> None:
    assert completed("cutover", "--host") == ["vps"]
    assert completed("-i", str(three_hosts), "cutover", "--host") == ["vps", "vps-two", "other"]
    assert completed("-i", str(three_hosts), "cutover", "--host", incomplete="vps-") == ["vps-two"]


def test_where_there_is_no_inventory_nothing_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As with a tool that was installed without a checkout."""
    monkeypatch.setattr(resources, "IN_CHECKOUT", False)
    monkeypatch.chdir(tmp_path)
    assert completed("cutover", "--host") == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("text", [None, "not = [toml", "[hosts]\nvps = 3\n"])
def test_a_broken_inventory_completes_nothing_and_says_nothing(
    text: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "broken.toml"
    if text is not None:
        file.write_text(text)
    assert completed("-i", str(file), "cutover", "--host") == []
    assert capfd.readouterr().err == ""


# ── As a process ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("program", [["inv", "status"], ["islandflow", "status"]], ids=["inv", "islandflow"])
def test_ctrl_c_ends_the_process_with_130(program: list[str], tmp_path: Path) -> None:
    """While it waits for a VPS that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = {"hosts.vps.address": "127.0.0.1", "hosts.vps.port": listener.getsockname()[1]}
        file = tmp_path / "inventory.toml"
        file.write_text(inventories.toml(inventories.changed({**address, "timeouts.connect": 60})))
        environment = {**os.environ, "ISLANDFLOW_INVENTORY": str(file), "HOME": str(tmp_path)}
        argv = [str(BIN / program[0]), *program[1:]]
        with subprocess.Popen(
            argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=inventories.REPOSITORY
        ) as process:
            listener.settimeout(30)
            with listener.accept()[0]:
                time.sleep(0.3)  # until it waits for the banner
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == "" and err.startswith("Error: interrupted") and "Traceback" not in err


@pytest.mark.parametrize("program", ["inv", "fab"])
def test_invoke_and_fabric_find_the_collection(program: str) -> None:
    path = shutil.which(program, path=str(BIN))
    assert path, f"{program} is not installed beside {sys.executable}"
    done = subprocess.run([path, "--list"], capture_output=True, text=True, check=True, cwd=inventories.REPOSITORY)
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and line[2] != " "}
    assert listed == set(TASKS)
