"""What the runner, or whatever stands before it on the VPS, says instead of an answer."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from fabfile.bug import RunnerFault
from fabfile.errors import CutoverError, ManualInterventionRequired, SoakAlreadyRunning, Unreachable, UsageError
from fabfile.runner.wire import events, shape
from fabfile.runner.wire.codec import decode_as
from fabfile.runner.wire.events import Event, PastPlan
from fabfile.runner.wire.store import LockHolder

T = TypeVar("T")


class Refused(Unreachable):
    """The VPS was reached and said no; asking again would not help."""


_NO_PROGRAM = re.compile(r"not found|No such file or directory")
_NO_SUDO = re.compile(
    r"password is required|not in the sudoers|not allowed to execute|may not run|no askpass|terminal is required"
    r"|no new privileges|effective uid is not 0"
    r"|interactive authentication is required|I'm afraid I can't do that|must be owned by uid 0"  # sudo-rs
)
_NO_TERMINAL = re.compile(r"must have a tty")


def answer(line: bytes) -> dict[str, Any]:
    """One line of the runner's.

    Raises UsageError for a plan that the VPS does not know, RunnerFault for a fault of the runner's own, and Refused
    for any other error, and for what the runner never wrote.
    """
    try:
        reply = shape.parse(line)
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        raise _refusal(f"{line.decode(errors='replace').strip()[:100]} (from the login shell's start-up files?)")
    if "error" in reply:
        error = str(reply["error"])
        if "unknown" in reply:
            raise UsageError(error, next_step="inv history lists those on the VPS.")
        if "trace" in reply:
            raise RunnerFault(error, str(reply["trace"]))
        raise _refusal(error)
    return reply


def answered(declared: type[T], line: dict[str, Any], key: str) -> T:
    """What a line of the runner's has by that key. Raises Refused where it is none of that type."""
    try:
        return decode_as(declared, line.get(key))
    except ValueError as error:
        raise _refusal(f"something that this version does not read as {key}: {error}") from None


def seconds(line: dict[str, Any], key: str) -> float:
    """A number of seconds in a line of the runner's. Raises Refused where it holds none."""
    value = line.get(key)
    if not isinstance(value, (int, float)):
        raise _refusal(f"no number of seconds as {key}: {value!r:.40}")
    return float(value)


def event(line: dict[str, Any]) -> Event:
    """The event that a line of the runner's is.

    Raises SoakAlreadyRunning for one that names who runs a soak, and Refused for one that is no event.
    """
    if "holder" in line:
        known = holder(line)
        raise SoakAlreadyRunning(known.who, known.what, known.since)
    try:
        return events.event(line)
    except ValueError as error:
        raise _refusal(str(error)) from None


def holder(line: dict[str, Any]) -> LockHolder:
    """Who holds the lock, by a line of the runner's; all its fields are empty where nobody does, or none is named."""
    fields = line.get("holder")
    return LockHolder.of(fields if isinstance(fields, dict) else {})


def past_plan(line: dict[str, Any]) -> PastPlan:
    """The plan that a line of the history is. Raises Refused for another line."""
    try:
        plan = PastPlan(**line)
    except TypeError as error:
        raise _refusal(f"no plan of the history: {error}") from None
    problem = shape.misfit(plan, PastPlan)
    if problem:
        raise _refusal(f"no plan of the history: {problem}")
    return plan


def boot_error(code: int, stderr: str, user: str, address: str) -> Unreachable:
    """Why the runner did not even begin: its command ended with `code` and said this."""
    old = re.search(r"python3 is too old: (\S+)", stderr)
    if old:
        return Refused.no_python(address, old[1])
    if "python3" in stderr and _NO_PROGRAM.search(stderr):
        return Refused.no_python(address, None)
    if _NO_TERMINAL.search(stderr):
        return Refused.no_terminal(user, address)
    if _NO_SUDO.search(stderr) or ("sudo" in stderr and _NO_PROGRAM.search(stderr)):
        return Refused.no_sudo(user, address)
    return _refusal(stderr.strip().splitlines()[-1] if stderr.strip() else f"nothing, and ended with {code}")


def runner_died(plan_id: str, refused: CutoverError) -> ManualInterventionRequired:
    """That a plan's runner went away before the plan's end."""
    return ManualInterventionRequired(
        f"plan {plan_id} stopped half-way: {refused.message}",
        up=(),
        down=(),
        unknown="the runner went away before it looked; `inv status` shows it",
        next_step=f"Revert it: inv revert --plan {plan_id}",
    )


def _refusal(error: str) -> Refused:
    return Refused(
        f"the runner on the VPS says: {error}",
        state="Nothing was started by this command.",
        next_step="Fix what it names; `inv status` shows what runs.",
    )
