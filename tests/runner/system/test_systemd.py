"""What systemd says about units and their manager."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fabfile.runner.system.machine import CommandFailed
from fabfile.runner.system.systemd import manager_environment
from tests.runner.support.recorder import Recorder


def test_a_managers_environment_is_without_what_is_about_its_users_session(tmp_path: Path) -> None:
    session = ["HOME=/home/delta", "PATH=/bin", "LANG=C.UTF-8", "LC_TIME=C", "XDG_RUNTIME_DIR=/run/user/1000", "_=x"]
    given = ["TZ=Europe/Berlin", "HTTP_PROXY=http://x:1/?a=b", "NODE_ENV=", "HOMEPAGE=x", "TEXT=two\nlines"]
    answer = json.dumps({"type": "as", "data": [*session, *given]})
    machine = Recorder(tmp_path, {"busctl --user --json=short get-property org.freedesktop.systemd1 /org": answer})
    assert manager_environment(machine, "delta") == dict(one.split("=", 1) for one in given)
    assert machine.users == ["delta"]


def test_an_answer_that_is_no_environment_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="environment of the manager"):
        manager_environment(Recorder(tmp_path, {"busctl": "Failed"}), "delta")
