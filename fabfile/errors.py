"""One tree of errors; each says what happened, what state the VPS is in and what to do next.

The front doors print an error and leave with its `exit_code`; nothing else decides how a command ends:

    1    failed, and everything is as before
    2    bad usage or inventory
    3    refused by preflight or by a hook, nothing touched
    4    somebody else holds the lock, or runs a soak
    5    failed and could not be undone: manual intervention required
    6    the VPS, or Cloudflare's API, can't be reached
    70   a fault of this tool's own
    130  interrupted
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

_HOLDER = {"who": "somebody", "what": "a plan", "since": "?"}  # what a lock says of its holder, and in place of it
UNTOUCHED = "Nothing was changed on the VPS."
DNS_UNTOUCHED = "Nothing was changed in DNS."


class CutoverError(Exception):
    """The root of the tree. Raise one of its subclasses: only they know how the command ends."""

    exit_code: ClassVar[int] = 1
    place: ClassVar[str] = "VPS"

    def __init__(self, message: str, *, state: str, next_step: str) -> None:
        super().__init__(message)
        self.message = message
        self.state = state
        self.next_step = next_step

    def render(self) -> str:
        """The whole error for a terminal: the message, then the state of the `place` and the next step."""
        return "\n".join(
            [f"Error: {self.message}", _labelled(self.place, self.state), _labelled("Next", self.next_step)]
        )

    def __str__(self) -> str:
        return self.render()


class Failed(CutoverError):
    """The plan failed and was undone: everything is as before."""

    exit_code = 1


class DnsFailed(Failed):
    """Cloudflare refused, or a change of DNS did not stand the checks: DNS is as before."""

    place = "DNS"

    def __init__(self, message: str, *, state: str = DNS_UNTOUCHED, next_step: str) -> None:
        super().__init__(message, state=state, next_step=next_step)


class UsageError(CutoverError):
    """The command line asked for something that does not exist or does not make sense."""

    exit_code = 2

    def __init__(self, message: str, *, state: str = UNTOUCHED, next_step: str) -> None:
        super().__init__(message, state=state, next_step=next_step)

    @classmethod
    def unknown(cls, what: str, value: str, choices: Iterable[str]) -> UsageError:
        """`value` is none of the `choices` for `what` (as in "scope", "host", "runtime")."""
        names = ", ".join(choices)
        return cls(f'unknown {what} "{value}"', next_step=f"Choose the {what} from: {names}.")


class InventoryError(CutoverError):
    """The inventory can't be used. `problems` holds every one of them, each with its path in the file."""

    exit_code = 2

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = "an error" if len(self.problems) == 1 else f"{len(self.problems)} errors"
        super().__init__(
            f"{source} has {count}:\n{_listed(self.problems)}",
            state=UNTOUCHED,
            next_step="Correct what is named above and run the same command again.",
        )


class PreflightRefused(CutoverError):
    """Preflight found reasons not to begin. `findings` holds all of them."""

    exit_code = 3

    def __init__(self, findings: Sequence[str]) -> None:
        self.findings = tuple(findings)
        count = "one reason" if len(self.findings) == 1 else f"{len(self.findings)} reasons"
        super().__init__(
            f"preflight refuses to begin, for {count}:\n{_listed(self.findings)}",
            state="Nothing was touched.",
            next_step="Put right what is named above and run the same command again.",
        )


class HookRefused(CutoverError):
    """A hook of the operator's that runs before a plan has failed. `what` says how; `path` is the hook."""

    exit_code = 3

    def __init__(self, what: str, path: object) -> None:
        super().__init__(
            f"your {what}",
            state="Nothing was touched.",
            next_step=f"Fix what it says, or move {path} away, and run the same command again.",
        )


class LockHeld(CutoverError):
    """Another plan is running on the VPS: `who` started `what`, `since` a time as text."""

    exit_code = 4

    @classmethod
    def by(cls, holder: Mapping[str, object]) -> LockHeld:
        """The lock as its own file tells it, which may be empty for an instant."""
        return cls(*(str(holder.get(key, unknown)) for key, unknown in _HOLDER.items()))

    def __init__(self, who: str, what: str, since: str) -> None:
        self.who = who
        self.what = what
        self.since = since
        super().__init__(
            f"{who} holds the lock: {what}, since {since}",
            state="This command changed nothing; the other one goes on.",
            next_step="Run this again with --wait. inv attach follows the other plan and may confirm or revert it.",
        )


class SoakAlreadyRunning(CutoverError):
    """A soak runs on the VPS already, and there is one at a time: `who` started `what`, `since` a time as text."""

    exit_code = 4

    def __init__(self, who: str, what: str, since: str) -> None:
        super().__init__(
            f"{who} runs {what} since {since}, and there is one at a time",
            state="This command changed nothing; the soak goes on.",
            next_step="Look at it with inv soak, or end it with inv soak --stop.",
        )


class ManualInterventionRequired(CutoverError):
    """A plan failed and its undo failed too. `up` and `down` name what runs and what does not.

    `unknown` says why that can't be told.
    """

    exit_code = 5

    def __init__(
        self, message: str, *, up: Sequence[str], down: Sequence[str], next_step: str, unknown: str = ""
    ) -> None:
        self.up = tuple(up)
        self.down = tuple(down)
        super().__init__(
            message,
            state=f"what runs is not known: {unknown}"
            if unknown
            else f"up: {', '.join(up) or 'nothing'}\ndown: {', '.join(down) or 'nothing'}",
            next_step=next_step,
        )


class DnsManualInterventionRequired(CutoverError):
    """A change of DNS could not be put back. `now` says what each record is, `fix` holds a command for each."""

    exit_code = 5
    place = "DNS"

    def __init__(self, message: str, *, now: Sequence[str], fix: Sequence[str]) -> None:
        super().__init__(
            message,
            state="\n".join(now),
            next_step="\n".join(["With the token in CLOUDFLARE_API_TOKEN, and then inv dns.status:", *fix]),
        )


class Unreachable(CutoverError):
    """The VPS can't be reached, or can't be worked on once reached."""

    exit_code = 6

    def __init__(self, message: str, *, state: str = UNTOUCHED, next_step: str) -> None:
        super().__init__(message, state=state, next_step=next_step)

    @classmethod
    def no_sudo(cls, user: str, address: str) -> Unreachable:
        """The user may not become root without a password."""
        return cls(
            f"{user}@{address} can't run sudo without a password",
            next_step=(
                "As root on the VPS, run `visudo -f /etc/sudoers.d/islandflow` and add the line\n"
                f"{user} ALL=(ALL) NOPASSWD: ALL"
            ),
        )

    @classmethod
    def no_terminal(cls, user: str, address: str) -> Unreachable:
        """sudo works at a terminal only, which a program's connection is not."""
        return cls(
            f"sudo demands a terminal of {user}@{address} (requiretty), and a program has none",
            next_step=(
                "As root on the VPS, run `visudo -f /etc/sudoers.d/islandflow` and add the lines\n"
                f"Defaults:{user} !requiretty\n"
                f"{user} ALL=(ALL) NOPASSWD: ALL"
            ),
        )

    @classmethod
    def no_python(cls, address: str, version: str | None) -> Unreachable:
        """There is no usable python3; `version` is the version of one that is too old."""
        what = f"python3 is {version}, and 3.9 or newer is needed" if version else "there is no python3"
        return cls(f"{what} on {address}", next_step="On the VPS: sudo apt-get install python3")


class DnsUnreachable(Unreachable):
    """Cloudflare's API can't be reached, or what answers is not it."""

    place = "DNS"

    def __init__(self, message: str, *, state: str = DNS_UNTOUCHED, next_step: str) -> None:
        super().__init__(message, state=state, next_step=next_step)


class Bug(CutoverError):
    """A fault of this tool's own (`EX_SOFTWARE` of sysexits.h). `what` is the exception and its text."""

    exit_code = 70

    def __init__(self, what: str, *, state: str, next_step: str) -> None:
        super().__init__(
            f"this is a fault of the tool itself, not of the VPS: {what}", state=state, next_step=next_step
        )


class Interrupted(CutoverError):
    """The operator pressed Ctrl-C. Unless told otherwise nothing had been shipped yet."""

    exit_code = 130

    def __init__(
        self,
        message: str = "interrupted",
        *,
        state: str = UNTOUCHED,
        next_step: str = "Run the same command again.",
    ) -> None:
        super().__init__(message, state=state, next_step=next_step)


def _listed(items: Iterable[str]) -> str:
    return "\n".join("  - " + item.replace("\n", "\n    ") for item in items)


def _labelled(label: str, text: str) -> str:
    return f"{label + ':':<6} " + text.replace("\n", "\n       ")
