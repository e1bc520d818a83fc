"""The app's settings, written as systemd reads them."""

from __future__ import annotations

import getpass
import grp
import json
import os
from pathlib import Path

import pytest

from fabfile.runner.actions.settings import WriteSettings
from fabfile.runner.system.envfile import read_systemd
from fabfile.runner.system.machine import Machine, StepFailed
from fabfile.runner.wire.codec import encode
from fabfile.runner.wire.settings import SettingsFile


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "ops")


@pytest.fixture
def write(tmp_path: Path) -> WriteSettings:
    (tmp_path / ".env").write_text("export A=pa$$word # a comment\n")
    me, group = getpass.getuser(), grp.getgrgid(os.getegid()).gr_name
    return WriteSettings(SettingsFile(str(tmp_path / "etc/settings.env"), str(tmp_path / ".env"), me, group))


def test_settings_are_written_in_a_form_that_systemd_reads_as_compose_reads_the_env_file(
    write: WriteSettings, machine: Machine
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


def test_former_settings_come_back(write: WriteSettings, machine: Machine) -> None:
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


def test_settings_that_compose_does_not_take_are_not_written(write: WriteSettings, machine: Machine) -> None:
    before = write.inspect(machine).before
    Path(write.file.env_file).write_text("A='s3cret\n")
    with pytest.raises(StepFailed, match=r"Compose does not take .*correct it") as error:
        write.apply(machine, before)
    assert "s3cret" not in str(error.value)
    with pytest.raises(StepFailed, match="a quote that is not closed"):
        write.inspect(machine)


def test_what_is_no_file_is_left_where_it_is(write: WriteSettings, machine: Machine) -> None:
    Path(write.file.path).mkdir(parents=True)
    before = write.inspect(machine).before
    with pytest.raises(StepFailed, match="is in the way: directory"):
        write.apply(machine, before)
    write.undo(machine, before)
    assert Path(write.file.path).is_dir()
