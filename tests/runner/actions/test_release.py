"""Moving the checkout: a real repository and real builds; only systemd is left out."""

from __future__ import annotations

import getpass
import grp
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.actions.release import Command, Release, WriteSettings
from fabfile.runner.system.envfile import read_systemd
from fabfile.runner.system.git import checkout
from fabfile.runner.system.machine import CommandFailed, Machine, Result, StepFailed
from fabfile.runner.wire.codec import encode
from fabfile.runner.wire.facts import Checkout, Facts
from fabfile.runner.wire.settings import SettingsFile

ME = getpass.getuser()
TYPES = "apps/web/next-env.d.ts"
BUILD = """echo "$NEXT_PUBLIC_URL|${NEXT_PUBLIC_OLD-none}|${SECRET-none}" >build.out; echo built >next-env.d.ts"""


class WithoutSystemd(Machine):
    """A machine whose systemd takes every word, and which notes what it starts and how long that may take."""

    def __init__(self, ops: Path) -> None:
        super().__init__(ops)
        self.started: list[tuple[tuple[str, ...], float, Mapping[str, str] | None]] = []

    def run(self, argv: Sequence[str], **named: Any) -> Result:
        """As the real one does, systemctl excepted."""
        self.started.append((tuple(argv), named.get("timeout", 30.0), named.get("env")))
        return Result(tuple(argv), 0, "", "") if "systemctl" in argv[0] else super().run(argv, **named)


class Repository:
    """A checkout with two commits, the first one tagged `old`, and a build that writes a tracked file."""

    def __init__(self, folder: Path) -> None:
        self.path, self.env = folder / "flow", folder / "flow.env"
        self.web = self.path / "apps/web"
        self.web.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("one")
        self.git("tag", "old")
        self.commit("two")
        self.env.write_text("NEXT_PUBLIC_URL=https://flow.example.org\nSECRET=hidden\n")

    def git(self, *words: str) -> str:
        """What git says."""
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        return subprocess.run(["git", "-C", self.path, *who, *words], check=True, capture_output=True, text=True).stdout

    def commit(self, content: str) -> None:
        """One more commit, which changes both files."""
        (self.path / TYPES).write_text(content)
        (self.path / "code").write_text(content)
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", content)

    def release(self, build: str = BUILD, timeout: float = 30.0, env: tuple[str, ...] = ("NEXT_PUBLIC_*",)) -> Release:
        """The action that goes to the old commit."""
        command = Command(str(self.web), ("/bin/sh", "-c", build), timeout, str(self.env), env)
        return Release(str(self.path), ME, "old", (command,), ("flow-web.service",), 50.0, (TYPES,))

    @property
    def facts(self) -> Facts:
        """Where it stands."""
        return Facts(checkout=self.state)

    @property
    def state(self) -> Checkout:
        """The same, as git says."""
        return checkout(Machine(self.path), str(self.path), ME)


@pytest.fixture
def flow(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.fixture
def machine(tmp_path: Path) -> WithoutSystemd:
    return WithoutSystemd(tmp_path / "ops")


def test_a_build_gets_the_variables_of_the_env_file_that_it_names_and_no_others(
    flow: Repository, machine: WithoutSystemd
) -> None:
    action = flow.release()
    action.apply(machine, action.snapshot(flow.facts))
    assert (flow.web / "build.out").read_text() == "https://flow.example.org|none|none\n"


def test_the_variables_are_read_when_the_build_starts_and_travel_in_no_plan(
    flow: Repository, machine: WithoutSystemd
) -> None:
    action = flow.release(env=("NEXT_PUBLIC_URL", "SECRET"))
    flow.env.write_text("NEXT_PUBLIC_URL=later\nNEXT_PUBLIC_OLD=unnamed\nSECRET=hidden\n")
    evidence = action.apply(machine, action.snapshot(flow.facts))
    assert (flow.web / "build.out").read_text() == "later|none|hidden\n"
    assert "hidden" not in repr(action) + repr(evidence) + repr([argv for argv, _, _ in machine.started])


def test_a_build_without_its_env_file_fails_and_says_so(flow: Repository, machine: WithoutSystemd) -> None:
    action = flow.release()
    flow.env.unlink()
    with pytest.raises(StepFailed, match=r"flow\.env, with the build's variables, can't be read: .*No such file"):
        action.apply(machine, action.snapshot(flow.facts))


def test_each_command_has_its_own_deadline(flow: Repository, machine: WithoutSystemd) -> None:
    action = flow.release(build="sleep 60", timeout=0.2)
    with pytest.raises(CommandFailed, match=r"took longer than 0\.2 s"):
        action.apply(machine, action.snapshot(flow.facts))
    assert not any("systemctl" in argv[0] for argv, _, _ in machine.started), "nothing was restarted"


def test_restarting_may_take_as_long_as_the_units_may_take_to_stop(flow: Repository, machine: WithoutSystemd) -> None:
    action = flow.release()
    action.apply(machine, action.snapshot(flow.facts))
    ((_, timeout, _),) = [start for start in machine.started if "systemctl" in start[0][0]]
    assert timeout == 50.0


def test_tracked_files_that_a_build_writes_are_no_change_before_or_after(
    flow: Repository, machine: WithoutSystemd
) -> None:
    (flow.path / TYPES).write_text("built by hand, where git would not move over it")
    action = flow.release()
    before = action.snapshot(flow.facts)
    action.apply(machine, before)
    assert (flow.path / "code").read_text() == "one" and flow.state.changed == ()
    action.undo(machine, before)
    assert (flow.path / "code").read_text() == "two" and (flow.state.branch, flow.state.changed) == ("main", ())


def test_a_file_that_an_older_commit_does_not_have_is_left_out(flow: Repository, machine: WithoutSystemd) -> None:
    flow.git("rm", "--quiet", TYPES)
    flow.git("commit", "--quiet", "--message", "without")
    flow.web.mkdir(parents=True)
    action = flow.release()
    action.apply(machine, action.snapshot(flow.facts))
    assert (flow.path / "code").read_text() == "one"


def test_a_commit_that_is_not_there_moves_and_restarts_nothing_on_the_way_back_either(
    flow: Repository, machine: WithoutSystemd
) -> None:
    action = replace(flow.release(), ref="no-such-commit")
    before = action.snapshot(flow.facts)
    with pytest.raises(CommandFailed, match="rev-parse"):
        action.apply(machine, before)
    assert "nothing was restarted" in str(action.undo(machine, before)["why"])
    assert not any("systemctl" in argv[0] or argv[0] == "/bin/sh" for argv, _, _ in machine.started)


# ── The app's settings ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def write(tmp_path: Path) -> WriteSettings:
    (tmp_path / ".env").write_text("export A=pa$$word # a comment\n")
    me, group = getpass.getuser(), grp.getgrgid(os.getegid()).gr_name
    return WriteSettings(SettingsFile(str(tmp_path / "etc/settings.env"), str(tmp_path / ".env"), me, group))


def test_settings_are_written_in_a_form_that_systemd_reads_as_compose_reads_the_env_file(
    write: WriteSettings, machine: WithoutSystemd
) -> None:
    look = write.inspect(machine)
    evidence = write.apply(machine, look.before)
    path = Path(write.file.path)
    assert read_systemd(path) == {"A": "pa$word"} and path.stat().st_mode & 0o777 == 0o600
    assert "pa$word" not in json.dumps([look.before, evidence, encode(write)])
    assert write.inspect(machine).noop_reason
    for _ in range(2):
        write.undo(machine, look.before)
        assert not path.exists()


def test_former_settings_come_back(write: WriteSettings, machine: WithoutSystemd) -> None:
    path = Path(write.file.path)
    path.parent.mkdir()
    path.write_text("A=former\n")
    path.chmod(0o640)
    before = write.inspect(machine).before
    write.undo(machine, before)
    assert path.read_text() == "A=former\n", "nothing was written yet"
    write.apply(machine, before)
    for _ in range(2):
        write.undo(machine, before)
        assert path.read_text() == "A=former\n" and path.stat().st_mode & 0o777 == 0o640


def test_settings_that_compose_does_not_take_are_not_written(write: WriteSettings, machine: WithoutSystemd) -> None:
    before = write.inspect(machine).before
    Path(write.file.env_file).write_text("A='s3cret\n")
    with pytest.raises(StepFailed, match=r"Compose does not take .*correct it") as error:
        write.apply(machine, before)
    assert "s3cret" not in str(error.value)
    with pytest.raises(StepFailed, match="a quote that is not closed"):
        write.inspect(machine)


def test_what_is_no_file_is_left_where_it_is(write: WriteSettings, machine: WithoutSystemd) -> None:
    Path(write.file.path).mkdir(parents=True)
    before = write.inspect(machine).before
    with pytest.raises(StepFailed, match="is in the way: directory"):
        write.apply(machine, before)
    write.undo(machine, before)
    assert Path(write.file.path).is_dir()
