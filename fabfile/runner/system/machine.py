"""Runs commands on the VPS with deadlines, polls for results, and holds the paths of the runner's folders."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from .deadline import Deadline

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLL_SECONDS = 0.05  # between two checks of something that is awaited
_LOOK_SECONDS = 0.2  # between two looks, while a command runs, whether the operator reverts the plan
_LINE_BYTES = 4096  # of what a command has printed, in which its last line is looked for
_END_SECONDS = 0.5  # for a command to end in order, after that it is killed

REVERTING = "the operator asked to revert"

Evidence = dict[str, object]  # plain JSON, for the journal


class StepFailed(Exception):
    """A step failed; `evidence` goes into the journal as it is."""

    def __init__(self, message: str, /, **evidence: object) -> None:
        super().__init__(message)
        self.evidence: Evidence = {**evidence, "error": message}


class CommandFailed(StepFailed):
    """A command ended with an unexpected code, could not be started, or ran past its deadline."""


@dataclass(frozen=True)
class Result:
    """The exit code and the output of a command."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def excerpt(self) -> str:
        """The last lines of its output, for a message; standard error first."""
        return tail(self.err) or tail(self.out)

    def checked(self, ok: tuple[int, ...] | None) -> Result:
        """Itself. Raises CommandFailed where `ok` does not list its code; None accepts all."""
        if ok is None or self.code in ok:
            return self
        text, words = f"{' '.join(self.argv)} ended with {self.code}", list(self.argv)
        raise CommandFailed(text, code=self.code, said=self.excerpt, argv=words)


@dataclass(frozen=True)
class Observation:
    """The result of a probe: whether it holds, and the text and data that say why."""

    ok: bool
    text: str
    data: Mapping[str, object] = field(default_factory=dict)
    permanent: bool = False  # it does not hold, and waiting will not help


@dataclass(frozen=True)
class Served:
    """What users got at the edge for a while: answers, those of them that failed, and the longest wait (seconds).

    `silent` are the watched hostnames that have answered nothing.
    """

    answers: int = 0
    failures: int = 0
    longest: float = 0.0
    silent: int = 0

    @property
    def well(self) -> bool:
        """Whether they were served. Where nobody was answered at all, nothing is known."""
        return self.answers > 0 and not self.failures and not self.silent

    def __str__(self) -> str:
        if not self.answers:
            return ""
        good = f"{self.answers - self.failures} of {self.answers} requests through the edge were answered"
        return f"{good}, the slowest after {self.longest:.1f} s"


def failure_detail(error: Exception) -> str:
    """A failed command's output where there is some, else the error's message."""
    output = error.evidence.get("said") if isinstance(error, StepFailed) else ""
    return str(output or error)


def os_error_text(error: Exception) -> str:
    """The message of an error of the operating system, without its number."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()


def tail(text: str, lines: int = 6) -> str:
    """The last `lines` non-empty lines of `text`, at most 1,000 characters."""
    last = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(last)[-1000:]


class Machine:
    """Runs commands as root or as a user; holds the paths of shipped files and backups."""

    def __init__(self, ops: Path, backups: Path | None = None, secrets: Mapping[str, str] | None = None) -> None:
        self.ops = ops
        self.secrets = secrets or {}  # what came beside the plan; in memory only, never journaled
        self.backups = backups if backups is not None else ops / "backups"
        self.hold: Deadline | None = None  # while requests wait; nothing may take longer
        self.reverting: Callable[[], bool] = lambda: False  # whether the operator reverts: what runs is cut off
        self.served_since: Callable[[float], Served] = lambda since: Served()  # monotonic; while a plan is watched
        self.printed = ""  # the last line of the command that runs, as it is: to be masked before anybody sees it

    def content(self, sha256: str) -> bytes:
        """The bytes of a shipped file. Raises StepFailed when it was never shipped."""
        try:
            return (self.ops / "files" / sha256).read_bytes()
        except OSError as error:
            raise StepFailed(f"file {sha256[:12]} is not on the VPS: {error}") from error

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        timeout: float = 30.0,
        stdin: bytes | None = None,
        ok: tuple[int, ...] | None = (0,),
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Result:
        """Run a command to its end and return its output.

        `timeout` is in seconds; past it the command's whole process group is killed. `ok` lists the codes
        that mean success, None accepts all. Raises CommandFailed, and StepFailed when no time is left.
        """
        timeout = self._within_hold(timeout)
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**environment_of(user), **(env or {})},
                cwd=cwd,
                start_new_session=True,
                **_process_owner(user),
            )
        except (OSError, ValueError) as error:  # no argument can hold a NUL
            raise CommandFailed(f"{argv[0]} could not be started: {error}", argv=list(argv)) from error
        try:
            out, err = self._communicate(process, stdin, timeout)
        except subprocess.TimeoutExpired as error:
            _kill(process)
            raise CommandFailed(f"{argv[0]} took longer than {timeout:g} s", argv=list(argv)) from error
        finally:
            self.printed = ""
        result = Result(tuple(argv), process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
        return result.checked(ok)

    def wait(self, probe: Callable[[], Observation], seconds: float, every: float = POLL_SECONDS) -> Observation:
        """Probe until it holds, cannot hold any more, or `seconds` have passed; returns the last observation.

        Raises StepFailed when no time is left.
        """
        deadline = Deadline(self._within_hold(seconds))
        while True:
            self._stop_if_reverting()
            observation = probe()
            if observation.ok or observation.permanent or deadline.passed:
                return observation
            time.sleep(every)

    def until(self, probe: Callable[[], Observation], seconds: float, every: float = POLL_SECONDS) -> Observation:
        """As `wait`, for what must hold. Raises StepFailed with the last observation's text and the time waited."""
        began = time.monotonic()
        observation = self.wait(probe, seconds, every)
        if not observation.ok:
            raise StepFailed(f"{observation.text} (waited {time.monotonic() - began:.1f} s)", **observation.data)
        return observation

    def _communicate(
        self, process: subprocess.Popen[bytes], stdin: bytes | None, timeout: float
    ) -> tuple[bytes, bytes]:
        """Return a command's output. Raises TimeoutExpired, and StepFailed once the operator reverts the plan."""
        deadline, read = Deadline(timeout), (0, 0)
        while True:
            try:
                return process.communicate(stdin, timeout=min(_LOOK_SECONDS, deadline.left))
            except subprocess.TimeoutExpired as so_far:
                if deadline.passed:
                    raise
                out, err = so_far.output or b"", so_far.stderr or b""
                self.printed = _last_line(
                    err if len(err) > read[1] else out if len(out) > read[0] else b"", self.printed
                )
                read = len(out), len(err)
            stdin = None  # what is left of it goes on being written
            try:
                self._stop_if_reverting()
            except StepFailed:
                _end(process)
                raise

    def _stop_if_reverting(self) -> None:
        """Raise StepFailed where the operator reverts the plan: the undo of what was begun is the quickest way back."""
        if self.reverting():
            raise StepFailed(REVERTING)

    def _within_hold(self, seconds: float) -> float:
        """`seconds`, or what is left of the hold. Raises StepFailed when the hold has reached its limit."""
        if self.hold is None:
            return seconds
        if self.hold.passed:
            raise StepFailed(f"hold limit reached: requests have waited in the parking lot for {self.hold.seconds:g} s")
        return min(seconds, self.hold.left)


def _last_line(printed: bytes, before: str) -> str:
    """The last line with something in it, as a terminal would show it, else the one `before`."""
    lines = printed[-_LINE_BYTES:].decode(errors="replace").replace("\r", "\n").split("\n")
    return next((line for line in reversed(lines) if line.strip()), before)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have a command end in order; kill its process group where it does not."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_END_SECONDS)
    _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command's process group. A process that left the group may keep the output open: don't wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.communicate(timeout=1)
    except subprocess.TimeoutExpired:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise CommandFailed(f"there is no user {user} on the VPS") from None


def environment_of(user: str | None) -> dict[str, str]:
    """The environment of a command that is run as root or as a user. Raises CommandFailed for an unknown user."""
    base = {"PATH": PATH, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    entry = _account(user) if user else pwd.getpwuid(os.geteuid())
    base.update(HOME=entry.pw_dir, USER=entry.pw_name, LOGNAME=entry.pw_name)
    # Without it `systemctl --user` finds no manager when it is not started from a login session.
    base["XDG_RUNTIME_DIR"] = f"/run/user/{entry.pw_uid}"
    return base


def _process_owner(user: str | None) -> dict[str, Any]:
    if not user or os.geteuid() != 0:
        return {}
    entry = _account(user)
    groups = os.getgrouplist(user, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
