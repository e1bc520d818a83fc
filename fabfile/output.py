"""How text reaches the operator: how much of it, under which command's name, in what the terminal can show.

Every front door and every task print through here; nothing in it takes time to load.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import re
import select
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import IO, Any, Final, Literal, cast

from fabfile.errors import CutoverError
from fabfile.runner.wire import formats

LineKind = Literal[
    # of every task
    "warning",
    "error",
    "check",
    "public",
    "ways",
    "nothing",
    "plan",
    "lock",
    "revert",
    "status",
    "health",
    "reboot",
    "backup",
    "past",
    "release",
    "record",
    "decision",
    "moment",
    "log",
    "output",
    "exit",
    "host",
    # init and doctor
    "value",
    "written",
    "difference",
    "unseen",
    "direction",
    "finding",
    # a soak
    "workload",
    "durable",
    "address",
    "recommendation",
    # DNS
    "dns_record",
    "change",
    "changed",
    "put_back",
    "token",
    "retry",
]
"""What a line of --json is, besides an event of a journal (fabfile/runner/wire/events.py). docs/events.md has both."""

_PLAIN: Final = {
    **{"✓": "[ok]", "✗": "[failed]", "▸": ">", "↶": "<-", "→": "->", "←": "<-", "·": "-", "•": "*", "…": "..."},
    **{"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "×": "x", "─": "-", "µ": "u"},
}
_REPLACING: Final = "islandflow.replacing"  # a handler of encoding errors, as Python's own "replace" is one
_INV: Final = re.compile(r"(?<![\w./-])inv (?=[a-z])")
_KEYS_SECONDS: Final = 0.2  # between two looks whether somebody has pressed Ctrl-C


@dataclass(frozen=True)
class Settings:
    """What the command line says about output; `program` is the command that the operator typed.

    `host` is the one at work where it is one of several: each line for programs names it.
    """

    quiet: bool = False
    verbose: bool = False
    program: str = "inv"
    host: str = ""


_DEFAULT: Final = Settings()
_settings: ContextVar[Settings] = ContextVar("settings", default=_DEFAULT)


def settings() -> Settings:
    """The settings of the command that runs now."""
    return _settings.get()


@contextlib.contextmanager
def using(**changes: Any) -> Iterator[None]:
    """Change settings for what runs within."""
    before = _settings.set(replace(_settings.get(), **changes))
    try:
        yield
    finally:
        _settings.reset(before)


def with_program(text: str) -> str:
    """Text whose commands are spelled as the operator types them: an installed `islandflow` comes without `inv`."""
    return _INV.sub(f"{settings().program} ", text)


def plain(text: str, encoding: str | None) -> str:
    """Text with a stand-in, such as [ok] or ?, for each character that the encoding does not have."""
    return text.encode(encoding, _REPLACING).decode(encoding) if encoding else text


def print_in_any_encoding() -> None:
    """Have standard output and error print a stand-in where they would raise UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_REPLACING)


class _Unread:
    """Standard output whose reader may go, as `head` does: what comes then goes nowhere, and the command goes on.

    A plan that is followed must be confirmed all the same, and the command ends with the code that it has earned.
    """

    gone = False  # for all that follows in this process

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, or nothing; returns its length."""
        with self._watched():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is kept back, or nothing."""
        with self._watched():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            give_up(self._stream)
            _Unread.gone = True


def outlive_readers() -> contextlib.ExitStack:
    """Have a reader of standard output or error that goes be no error of what runs within."""
    stack = contextlib.ExitStack()
    stack.enter_context(contextlib.redirect_stderr(cast(IO[str], _Unread(sys.stderr))))
    stack.enter_context(contextlib.redirect_stdout(cast(IO[str], _Unread(sys.stdout))))
    stack.callback(lambda: sys.stdout.flush())  # what is left would fail as Python ends
    return stack


def typed_line() -> str:
    """The line that is typed, with its end; empty at the end of input. What is no text has a ? in its place.

    It waits with looks in between: a Ctrl-C that comes just before Python begins to read is noticed only once something
    can be read.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        while not select.select([sys.stdin], [], [], _KEYS_SECONDS)[0]:
            pass
    try:
        return sys.stdin.readline()
    except UnicodeDecodeError:
        return "?\n"


def reader_is_gone() -> bool:
    """Whether nobody reads any more what this command prints: one without an end of its own may end then."""
    return _Unread.gone


def line(kind: LineKind, **values: Any) -> None:
    """Print one line of --json on standard output. Texts name the operator's own command."""
    texts = {key: with_program(value) if isinstance(value, str) else value for key, value in values.items()}
    emit({"version": formats.JOURNAL, "kind": kind, **texts})


def emit(values: dict[str, Any]) -> None:
    """Print one JSON object in a line on standard output."""
    host = settings().host
    print(json.dumps({**values, "inventory_hostname": host} if host else values), flush=True)


def error(failure: CutoverError, *, as_json: bool) -> None:
    """Print an error on standard error; with --json as a line on standard output as well.

    A full disk, or a reader that has gone, must not hide how the command ends.
    """
    try:
        if as_json:
            texts = {"message": failure.message, "state": failure.state, "next_step": failure.next_step}
            line("error", exit_code=failure.exit_code, **texts)
        sys.stdout.flush()
    except (OSError, ValueError):
        give_up(sys.stdout)
    try:
        print(with_program(failure.render()), file=sys.stderr, flush=True)
        if runs_in_workflow(os.environ):
            print(annotation(with_program(failure.render())), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        give_up(sys.stderr)


def has_terminal() -> bool:
    """Whether somebody can be asked: they see the question, and can type an answer."""
    streams: tuple[IO[str] | None, ...] = (sys.stdin, sys.stderr)  # None where the shell has closed it
    return all(stream is not None and not stream.closed and stream.isatty() for stream in streams)


def runs_in_workflow(environ: Mapping[str, str]) -> bool:
    """Whether this is a step of a workflow at GitHub, Forgejo or Gitea, whose log has groups and annotations."""
    return environ.get("GITHUB_ACTIONS") == "true"


def annotation(text: str) -> str:
    """The line by which a workflow shows an error beside its log, which is escaped as their toolkit does it."""
    return f"::error::{text.replace('%', '%25').replace(chr(13), '%0D').replace(chr(10), '%0A')}"


def give_up(stream: IO[str]) -> None:
    """Let what can't be written go nowhere: Python would try again at its end, and change the exit code."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _replacing(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in characters), error.end


codecs.register_error(_REPLACING, _replacing)
