"""A fault of this tool's own: said to be one, its trace in a file, with what the VPS is doing meanwhile."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from fabfile import output, resources
from fabfile.errors import Bug, CutoverError, Interrupted, Unreachable, UsageError

_SECRET_VARIABLES: Final = ("NPM_IDENTITY", "NPM_SECRET", "CLOUDFLARE_API_TOKEN")
_MIN_SECRET_LENGTH: Final = 4  # characters; a shorter one would mask half of a trace
_MASK: Final = "•••"
_PACKAGE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep

_typed: set[str] = set()  # secrets that no variable holds
_plans: dict[str, bool] = {}  # the plans that this command has followed, and whether it saw them end


class RunnerFault(Exception):
    """The runner on the VPS met a fault of its own; `trace` is the runner's."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


def mask(secret: str) -> str:
    """Have every trace mask a secret that the operator typed; returns it."""
    _typed.add(secret)
    return secret


def plan_begins(plan_id: str) -> None:
    """From here on a report says that the plan goes on without this command."""
    _plans[plan_id] = False


def plan_has_ended(plan_id: str) -> None:
    """From here on a report says that it has ended."""
    _plans[plan_id] = True


def report(error: Exception) -> Bug:
    """Write the trace to a file and return the error that says so. Never raises."""
    import traceback  # only here: each command would pay for it

    try:
        text = _masked("".join(traceback.format_exception(error)) + str(getattr(error, "trace", "") or ""))
        what = f"{type(error).__name__}: {_masked(str(error)).strip() or 'no text'}".splitlines()[0][:200]
        place = f"Its trace is in {_write(text)}; secrets that this command knows are masked in it."
    except Exception as failure:  # noqa: BLE001  the report of a fault must not end in another one
        what, place = type(error).__name__, f"Its trace could not be written ({failure})."
    if not _plans:
        return Bug(what, state="This command has started no plan there.", next_step=f"Report it as a bug. {place}")
    plan_id, ended = list(_plans.items())[-1]
    if ended:
        state = f"The plan {plan_id} has ended there."
        return Bug(what, state=state, next_step=f"inv history --plan {plan_id} says how. Then report a bug. {place}")
    state = f"The plan {plan_id} may have begun, and then goes on there; unconfirmed, it reverts by itself."
    return Bug(what, state=state, next_step=f"inv attach --plan {plan_id}. Then report this as a bug. {place}")


def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Stand in for `sys.excepthook`: end in words what Invoke and Fabric let through. Raises SystemExit.

    That is a fault of ours where our code took part in it; else they refused what they do by themselves, as a port that
    is no number. Their own lists may lose their reader as well: that ends as SIGPIPE would.
    """
    if issubclass(kind, BrokenPipeError):
        os._exit(128 + signal.SIGPIPE)  # Python would try to write the rest
    if kind.__module__ == "invoke.exceptions" and kind.__name__ == "Exit":  # what it stands for has been said
        sys.exit(getattr(error, "code", 1))
    failure = _without_a_task(error, trace)
    output.error(failure, as_json=False)
    sys.exit(failure.exit_code)


def _without_a_task(error: BaseException, trace: TracebackType | None) -> CutoverError:
    if isinstance(error, CutoverError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted()
    if isinstance(error, Exception) and _is_ours(trace):
        return report(error)
    what = _masked(" ".join(str(error).split())) or "no text"
    program = os.path.basename(sys.argv[0])
    message, state = (
        f"{program} refuses: {what} ({type(error).__name__})",
        "No task has begun, so nothing was changed there.",
    )
    if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.startswith("paramiko"):
        return Unreachable(message, state=state, next_step="Check the host's name and port; inv status tries them.")
    return UsageError(message, state=state, next_step=f"Correct that option; {program} --help lists them all.")


def _is_ours(trace: TracebackType | None) -> bool:
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
            return True
        trace = trace.tb_next
    return False


def _write(text: str) -> Path:
    """A new file among the user's own state. Raises OSError."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    folder = Path(state) / "islandflow"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"bug-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.txt"
    heading = f"islandflow {resources.version()}, Python {sys.version.split()[0]}\n{_masked(' '.join(sys.argv))}\n\n"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", errors="backslashreplace") as file:
        file.write(heading + text)
    return path


def _masked(text: str) -> str:
    secrets = {*_typed, *(os.environ.get(name, "") for name in _SECRET_VARIABLES)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _MIN_SECRET_LENGTH:
            text = text.replace(secret, _MASK)
    return text
