"""The command that runs another one beside a service: what it says to systemd and Docker, and what it keeps secret."""

from __future__ import annotations

import getpass
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.main import main
from fabfile.runner.services import command
from fabfile.runner.services.requests import ExecRequest
from fabfile.runner.system.envfile import read_systemd
from fabfile.runner.wire.codec import encode
from fabfile.runner.wire.facts import Workload
from tests.runner.services.programs import Programs
from tests.runner.services.test_logs import until

ME = getpass.getuser()
API = (Workload("api", "native", unit="flow-api.service", user=ME), Workload("api", "docker", project="flow"))
REDIS = (Workload("redis", "native", unit="flow-redis.service"),)

SYSTEMCTL = """
case "$*" in
*EnvironmentFiles*) printf 'Id=x\\nEnvironmentFiles=/etc/flow/a.env (ignore_errors=no)\\n'
  printf 'EnvironmentFiles=/etc/flow/b.env (ignore_errors=yes)\\nUnsetEnvironment=DEBUG\\n{environment}' ;;
*LoadState*) printf 'LoadState={load}\\nWorkingDirectory=/srv/flow\\nUser=redis\\nGroup=redis\\n' ;;
*) exit 5 ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = Programs(tmp_path, monkeypatch)
    made.put("systemctl", SYSTEMCTL.format(environment="", load="loaded"))
    made.put("docker", "[ $1 = ps ] && printf 'api\\tflow-api-1\\trunning\\n'")
    return made


def begun(
    folder: Path, capsys: pytest.CaptureFixture[str], owner: str, *argv: str, of: Any = API, **more: Any
) -> dict[str, Any]:
    """What the verb prints."""
    (folder / "owner").write_text(owner)
    (folder / "owner").chmod(0o644)
    request = encode(ExecRequest(of, "flow", str(folder / "owner"), argv, **more))
    main(["exec_begin"], io.BytesIO(json.dumps(request).encode() + b"\n"), folder / "ops")
    line: dict[str, Any] = json.loads(capsys.readouterr().out)
    return line


def test_a_users_unit_gives_its_files_and_its_folder(
    tmp_path: Path, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    line = begun(tmp_path, capsys, "native", "sh", "-c", "echo ${HOME} $1")
    words = line["argv"]
    assert words[:4] == ["runuser", "-u", ME, "--"]
    assert words[4:8] == ["env", f"XDG_RUNTIME_DIR=/run/user/{os.getuid()}", "systemd-run", "--user"]
    properties = [word.removeprefix("--property=") for word in words if word.startswith("--property=")]
    assert properties == [
        "EnvironmentFile=/etc/flow/a.env",
        "EnvironmentFile=-/etc/flow/b.env",
        "UnsetEnvironment=DEBUG",
        "WorkingDirectory=/srv/flow",
    ]
    assert {"--pipe", "--wait", "--collect", f"--unit=islandflow-exec-{line['id']}.service"} <= set(words)
    assert words[words.index("--", 5) :] == ["--", "sh", "-c", "echo $${HOME} $$1"], "systemd replaces no variable"


def test_a_servers_command_runs_as_its_user(
    tmp_path: Path, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    words = begun(tmp_path, capsys, "native", "redis-cli", of=REDIS, interactive=True)["argv"]
    assert words[:4] == ["env", *command._PLAIN_TERMINAL, "systemd-run"] and "--user" not in words and "--pty" in words
    assert {"--property=User=redis", "--property=Group=redis"} <= set(words)


def test_a_units_own_variables_are_in_no_argument(
    tmp_path: Path, programs: Programs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_env_file", lambda name, user_id: tmp_path / f"{name}.env")
    programs.put("systemctl", SYSTEMCTL.format(environment="Environment=KEY=hidden\\n", load="loaded"))
    programs.put("busctl", 'echo \'{"type":"as","data":["KEY=s3cret \\"$x"]}\'')
    line = begun(tmp_path, capsys, "native", "env")
    file = tmp_path / f"{line['id']}.env"
    assert "s3cret" not in json.dumps(line)
    assert read_systemd(file) == {"KEY": 's3cret "$x'} and file.stat().st_mode & 0o777 == 0o600
    assert line["argv"].index(f"--property=EnvironmentFile={file}") < line["argv"].index(
        "--property=EnvironmentFile=/etc/flow/a.env"
    ), "the env files win, as in the unit"
    assert main(["exec_end", line["id"], ME], io.BytesIO(), tmp_path / "ops") == 0
    assert not file.exists()


def test_a_container_is_named_and_marked(
    tmp_path: Path, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    line = begun(tmp_path, capsys, "docker", "env")
    mark = f"--env={command.MARK}={line['id']}"
    assert line["argv"] == ["docker", "exec", "--interactive", mark, "flow-api-1", "env"]
    words = begun(tmp_path, capsys, "docker", "sh", interactive=True)["argv"]
    assert {"--tty", "--env=TERM"} <= set(words), "Docker would call every terminal xterm"


@pytest.mark.parametrize("owner", ["native", "docker"])
def test_where_the_service_is_not_there_the_fix_is(
    tmp_path: Path, programs: Programs, capsys: pytest.CaptureFixture[str], owner: str
) -> None:
    programs.put("systemctl", SYSTEMCTL.format(environment="", load="not-found"))
    programs.put("docker", "true")
    fix = {"native": "inv app.install", "docker": "inv docker.up"}[owner]
    assert fix in begun(tmp_path, capsys, owner, "env")["error"]


def test_what_still_runs_is_ended_by_its_unit_and_by_its_mark(
    tmp_path: Path, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]
    environ = {**os.environ, command.MARK: "0123456789ab"}
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert main(["exec_end", "0123456789ab", ""], io.BytesIO(), tmp_path / "ops") == 0
        until(lambda: process.poll() is not None)
    assert "systemctl stop islandflow-exec-0123456789ab.service" in programs.calls("systemctl stop")[0]
    assert main(["exec_end", "../../etc/x", ""], io.BytesIO(), tmp_path / "ops") == 1
