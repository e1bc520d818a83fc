"""A command beside a service: with its environment, its user and its folder, in whichever runtime owns."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ..stdio import emit
from ..system import docker, systemd
from ..system.envfile import systemd_text
from ..system.files import put
from ..system.machine import Machine, StepFailed
from ..wire import shape
from ..wire.codec import decode
from ..wire.facts import Workload
from .owner import of_owner
from .requests import ExecRequest

MARK = "ISLANDFLOW_EXEC"  # the variable by which a container's process is found again
_RUN = "/run/islandflow"
# All that a terminal gets is the command's: systemd-run would give it a title and another background.
_PLAIN_TERMINAL = ("SYSTEMD_ADJUST_TERMINAL_TITLE=0", "SYSTEMD_TINT_BACKGROUND=0")
_NONE = {"", "[not set]", "/"}


def exec_begin(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Print the command that runs the one on standard input beside a service of the owner's; starts nothing.

    `id` names what `exec_end` ends and removes.
    """
    request: ExecRequest = decode(shape.parse(stdin.readline()))
    machine = Machine(root)
    owner, (workload,) = of_owner(machine, request.workloads, request.owner_file, request.project)
    name = uuid.uuid4().hex[:12]
    words = _native if owner == "native" else _docker
    argv = words(machine, workload, request, name)
    emit({"runtime": owner, "id": name, "user": workload.user, "argv": argv})
    return 0


def exec_end(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """End the command that `exec_begin` named arguments[0], should it still run, and remove what was made for it.

    arguments[1] is the user whose manager runs it; empty for the system's.
    """
    name, user = arguments
    if not re.fullmatch("[0-9a-f]{12}", name):
        raise ValueError(f"{name!r} names no command")
    machine = Machine(root)
    machine.run([*systemd.systemctl(user), "stop", _unit(name)], user=user or None, ok=None)
    for pid in _marked(name):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    _env_file(name, _account(user).pw_uid).unlink(missing_ok=True)
    emit({"ended": name})
    return 0


def _native(machine: Machine, workload: Workload, request: ExecRequest, name: str) -> list[str]:
    """A transient unit in the manager of the service's own, with what that unit's settings give its process."""
    environment = systemd.environments(machine, (workload.unit,), workload.user)[workload.unit]
    shown = systemd.properties(
        machine, workload.unit, ("LoadState", "WorkingDirectory", "User", "Group"), workload.user
    )
    if shown.get("LoadState") != "loaded":
        raise StepFailed(f"the unit {workload.unit} of {workload.name} is not installed: inv app.install")
    folder = shown.get("WorkingDirectory", "").lstrip("!")
    files = [f"{'-' if may_be_missing else ''}{path}" for path, may_be_missing in environment.files]
    if environment.values:  # they may be secret, and arguments are not; env files win over them, so theirs goes first
        files.insert(0, str(_write_values(workload.user, name, environment.values)))
    values = [f"EnvironmentFile={file}" for file in files]
    values += [f"UnsetEnvironment={variable}" for variable in environment.unset]
    values += [f"WorkingDirectory={folder}"] if folder not in _NONE else []
    if not workload.user:
        values += [f"{key}={shown[key]}" for key in ("User", "Group") if shown.get(key, "") not in _NONE]
    argv = ["systemd-run", "--quiet", "--wait", "--collect", f"--unit={_unit(name)}", "--service-type=exec"]
    argv += ["--pty" if request.interactive else "--pipe", *(f"--property={value}" for value in values)]
    command = [word.replace("$", "$$") for word in request.argv]  # systemd would put variables' values in their place
    own = _PLAIN_TERMINAL if request.interactive else ()
    if not workload.user:
        return ["env", *own, *argv, "--", *command]
    runtime = f"XDG_RUNTIME_DIR=/run/user/{_account(workload.user).pw_uid}"
    return ["runuser", "-u", workload.user, "--", "env", runtime, *own, argv[0], "--user", *argv[1:], "--", *command]


def _write_values(user: str, name: str, values: dict[str, str]) -> Path:
    """A file for the manager, in memory and for its eyes only. Raises OSError, ValueError."""
    entry = _account(user)
    path = _env_file(name, entry.pw_uid)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    put(path, systemd_text(values).encode(), 0o600, entry.pw_name, str(entry.pw_gid))
    return path


def _docker(machine: Machine, workload: Workload, request: ExecRequest, name: str) -> list[str]:
    listed = docker.list_containers(machine, workload.project)
    running = [container.name for container in listed if container.service == workload.name]
    if not running:
        raise StepFailed(f"there is no container of {workload.name}: inv docker.up")
    terminal = ["--tty", "--env=TERM"] if request.interactive else []
    return ["docker", "exec", "--interactive", *terminal, f"--env={MARK}={name}", running[0], *request.argv]


def _account(user: str) -> pwd.struct_passwd:
    """The user whose manager it is, root without one. Raises StepFailed."""
    try:
        return pwd.getpwnam(user or "root")
    except KeyError:
        raise StepFailed(f"there is no user {user} on the VPS") from None


def _unit(name: str) -> str:
    return f"islandflow-exec-{name}.service"


def _env_file(name: str, user_id: int) -> Path:
    return Path(f"/run/user/{user_id}" if user_id else _RUN, f"islandflow-exec-{name}.env")


def _marked(name: str) -> list[int]:
    """The processes that have the mark in their environment."""
    mark, found = f"{MARK}={name}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found
