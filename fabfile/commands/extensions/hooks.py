"""Runs the operator's hooks: executables in the folder `hooks` beside the inventory, on this machine.

A hook before a plan may refuse it; one after it, or after its failure, changes nothing about how the command ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fabfile.commands import locate, record
from fabfile.commands.session import Session
from fabfile.errors import CutoverError, HookRefused, ManualInterventionRequired, Unreachable
from fabfile.record import HookRun
from fabfile.runner.facts.logs import masked

FOLDER: Final = "hooks"
_MAX_LINES: Final = 50  # of a hook's output, the last ones, in the record
_SAID_LINES: Final = 5  # of it in a message


@dataclass
class Hooks:
    """The hooks around one run of a task: cutover, rollback or deploy. Another task has none."""

    session: Session
    task: str
    environ: Mapping[str, str]
    runs: list[HookRun] = field(default_factory=list)

    def before(self, plan_id: str) -> None:
        """Run pre-TASK. Raises HookRefused where it fails: nothing has begun."""
        run = self._run(f"pre-{self.task}", plan_id)
        if run and not run.ok:
            raise HookRefused(_summary(run), self._folder / run.name)

    def after(self, plan_id: str) -> None:
        """Run post-TASK, once the plan is done; its failure is a warning."""
        self._finish(f"post-{self.task}", plan_id, "done")

    def failed(self, plan_id: str, error: CutoverError) -> None:
        """Run on-failure, once the plan has failed, or went out of sight; its own failure is a warning."""
        stuck = isinstance(error, ManualInterventionRequired)
        outcome = "stuck" if stuck else "unknown" if isinstance(error, Unreachable) else "reverted"
        self._finish("on-failure", plan_id, outcome, error.message)

    @property
    def _folder(self) -> Path:
        return locate.inventory_file(self.environ).absolute().parent / FOLDER

    def _finish(self, name: str, plan_id: str, outcome: str, error: str = "") -> None:
        run = self._run(name, plan_id, outcome, error)
        if run and not run.ok:
            self.session.console.warn(f"{_summary(run)}; the plan ended as it did: {outcome}")
        if self.runs:
            record.add_hooks(self.session.console, plan_id, self.runs, self.environ)

    def _run(self, name: str, plan_id: str, outcome: str = "", error: str = "") -> HookRun | None:
        """Run a hook; None where there is none of that name."""
        path = self._folder / name
        if not (self.task and os.path.lexists(path)):
            return None
        page = record.page_of(plan_id, self.environ)
        variables = {
            "ISLANDFLOW_HOOK": name,
            "ISLANDFLOW_TASK": self.task,
            "ISLANDFLOW_PLAN": plan_id,
            "ISLANDFLOW_HOST": self.session.host.name,
            "ISLANDFLOW_OUTCOME": outcome,
            "ISLANDFLOW_ERROR": error,
            "ISLANDFLOW_RECORD": str(page or ""),
            locate.VARIABLE: str(locate.inventory_file(self.environ).absolute()),
        }
        run = _executed(path, {**self.environ, **variables}, self.session.site.timeouts.hook)
        self.runs.append(run)
        self.session.console.progress(f"hook {run.name}: {run.ended} after {run.seconds:.1f} s")
        for line in run.output:
            self.session.console.detail(f"    {line}")
        return run


def _executed(path: Path, environ: Mapping[str, str], seconds: float) -> HookRun:
    problem = _problem(path)
    if problem:
        return HookRun(path.name, False, problem, 0.0, ())
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            [str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=path.parent.parent,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError as error:  # as where its interpreter is missing
        return HookRun(path.name, False, f"could not be started ({error.strerror or error})", 0.0, ())
    ended = ""
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        output, ended = _killed(process), f"took longer than {seconds:g} s and was killed"
    except BaseException:  # Ctrl-C: the hook ends with this command
        _killed(process)
        raise
    ended = ended or f"ended with {process.returncode}"
    lines = [masked(line, ()) for line in output.decode(errors="replace").splitlines() if line.strip()]
    ok = process.returncode == 0
    return HookRun(path.name, ok, ended, round(time.monotonic() - began, 3), tuple(lines[-_MAX_LINES:]))


def _killed(process: subprocess.Popen[bytes]) -> bytes:
    """Kill a hook with all that it started; returns what it printed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=1)[0]
    except subprocess.TimeoutExpired:  # a process that left the group keeps the output open
        return b""


def _problem(path: Path) -> str:
    """Why a hook may not be run; empty when it may."""
    try:
        owner, mode = path.stat().st_uid, path.stat().st_mode
    except OSError as error:
        return f"can't be read ({error.strerror})"
    if not path.is_file() or not os.access(path, os.X_OK):
        return f"is no executable (chmod +x {path})"
    if str(owner) not in ("0", str(os.getuid()), os.environ.get("SUDO_UID")):
        return f"belongs to another user (uid {owner})"
    return f"may be written by everybody (chmod o-w {path})" if mode & 0o002 else ""


def _summary(run: HookRun) -> str:
    said = "".join(f"\n    {line}" for line in run.output[-_SAID_LINES:])
    return f"hook {run.name} {run.ended}{said}"
