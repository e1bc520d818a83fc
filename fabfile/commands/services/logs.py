"""Shows what the owner's services log, whichever runtime runs them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fabfile import output
from fabfile.commands.services import choice
from fabfile.commands.session import Session
from fabfile.errors import UsageError
from fabfile.runner.services.requests import LogsRequest

DEFAULT_LINES: Final = 100  # of a command that names neither a number nor an age
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds
_AGE: Final = re.compile(r"(\d{1,9})([smhd])")


@dataclass(frozen=True)
class Selection:
    """Which lines: of an age (seconds, 0: any), the last so many (0: all), those that contain a regular expression."""

    since: float
    lines: int
    pattern: str

    @classmethod
    def of(cls, since: str, lines: str, pattern: str) -> Selection:
        """From the options' values. Raises UsageError."""
        count = _count(lines) if lines else 0
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(
                f"--grep {pattern} is no regular expression: {error}",
                next_step="Write \\ before characters that stand for themselves, as in --grep 'a\\(b'.",
            ) from None
        return cls(_age(since), count or (0 if since else DEFAULT_LINES), pattern)


def show(session: Session, service: str, selection: Selection, *, follow: bool) -> None:
    """Show log lines of the services that `service` names, of all without it; with `follow` until Ctrl-C.

    It ends where nobody reads any more, as in a pipe to head. Raises UsageError for a service that the inventory does
    not have, Unreachable.
    """
    site, console = session.site, session.console
    workloads = choice.named(site, service)
    names = list(dict.fromkeys(workload.name for workload in workloads))
    lines = session.host.logs(
        LogsRequest(
            workloads,
            site.runtimes.docker.project,
            site.app.owner_file,
            follow=follow,
            since=selection.since,
            lines=selection.lines,
            pattern=selection.pattern,
        )
    )
    for line in lines:
        if output.reader_is_gone():
            return
        if "runtime" in line:
            runtime = line["runtime"]
            if line["silent"]:
                console.warn(f"{runtime} owns the app and has no container of {', '.join(line['silent'])}")
        elif "problem" in line:
            console.warn(f"{line['problem']}; it is tried again")
        else:
            time = _utc(line["time"])
            console.log(time[11:23], line["service"], names, line["text"])
            console.data("log", time=time, runtime=runtime, service=line["service"], text=line["text"])


def _utc(seconds: float) -> str:
    """A time (epoch, seconds) as text (UTC, ISO 8601), in milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _age(text: str) -> float:
    """The seconds that an age such as 90s, 10m or 1h30m has; 0 without one. Raises UsageError."""
    parts = list(_AGE.finditer(text))
    seconds = sum(int(part[1]) * _UNITS[part[2]] for part in parts)
    if text and ("".join(part[0] for part in parts) != text or not seconds):
        raise UsageError(
            f"--since {text} is no age", next_step="Give seconds, minutes, hours or days: 90s, 10m, 1h30m, 2d."
        )
    return float(seconds)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise UsageError(
            f"--lines {text} is no number of lines", next_step="Give one from 1 to 1000000, as in --lines 200."
        )
    return int(text)
