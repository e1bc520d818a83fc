"""Events and findings → what the operator sees: text for people, or one JSON object a line with --json.

Data goes to standard output: tables, plans and whatever else was asked for, and how it ended. Progress and warnings go
to standard error.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Final

import rich.console
from rich.markup import escape
from rich.table import Table

from fabfile import event_text, output, progress
from fabfile.errors import CutoverError, Failed, LockHeld, ManualInterventionRequired
from fabfile.output import LineKind
from fabfile.runner.wire.events import Event

_LOG_COLOURS: Final = ("cyan", "green", "magenta", "blue", "yellow", "bright_cyan", "bright_green", "bright_magenta")
_LOUD: Final = ("failed", "stuck", "outage")  # the kinds of events that are shown in spite of -q


def screen(stream: IO[str]) -> rich.console.Console:
    """A stream as Rich prints on it: nothing is highlighted or cut, and NO_COLOR leaves neither colour nor bold."""
    return rich.console.Console(
        file=stream,
        highlight=False,
        emoji=False,
        soft_wrap=True,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )


class Console:
    """Prints what happens; with `json` people get only warnings, and standard output one JSON object a line."""

    def __init__(
        self, *, json: bool = False, out: rich.console.Console | None = None, err: rich.console.Console | None = None
    ) -> None:
        self._json = json
        self._out = out or screen(sys.stdout)
        self._err = err or screen(sys.stderr)
        self._quiet, self._verbose = output.settings().quiet, output.settings().verbose
        self._progress: progress.Progress | None = None

    @property
    def for_programs(self) -> bool:
        """Whether standard output has JSON lines and nothing else."""
        return self._json

    def say(self, text: str = "") -> None:
        """Something that was asked for, or how it ended, for people."""
        if not self._json:
            _print(self._out, escape(text))

    def begin_anew(self, heading: str) -> None:
        """Make room for what is shown again: on a terminal in the same place, elsewhere below, with a heading."""
        if self._json:
            return
        if self._out.is_terminal:
            self._out.clear()
        _print(self._out, f"[dim]{escape(heading)}[/]")

    def progress(self, text: str) -> None:
        """What is being done, for people; -q leaves it out."""
        if not (self._json or self._quiet):
            _print(self._err, escape(text))

    def detail(self, text: str) -> None:
        """What only -v shows."""
        if self._verbose:
            _print(self._err, f"[dim]{escape(text)}[/]")

    @contextlib.contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """With -v: how many seconds it takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.detail(f"{what}: {time.monotonic() - began:.2f} s")

    def data(self, kind: LineKind, **values: Any) -> None:
        """A line for programs; docs/events.md lists the values of each kind."""
        if self._json:
            output.line(kind, **values)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table for people; the first column of a row that begins with ✗ or ! is coloured."""
        if self._json:
            return
        encoding = self._out.encoding
        table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_coloured(output.with_program(cell), encoding) for cell in row))
        self._out.print(table)

    def log(self, time: str, service: str, services: Sequence[str], text: str) -> None:
        """A line that one of the services logged; each has its colour."""
        if self._json:
            return
        colour = _LOG_COLOURS[services.index(service) % len(_LOG_COLOURS)] if service in services else "default"
        name = service.ljust(max(map(len, services), default=0))
        encoding = self._out.encoding
        for part in output.plain(text, encoding).split("\n"):
            self._out.print(f"[dim]{time}[/] [{colour}]{escape(name)}[/] {escape(part)}")

    def confirms(self, lines: Iterable[str], question: str) -> bool:
        """Whether whoever sits at the terminal says yes to a question; Enter, and the end of input, say no."""
        for text in lines:
            _print(self._err, escape(text))
        return self.answer(f"{question} [y/N]").lower() in ("y", "yes")

    def choose(self, question: str, options: Sequence[str]) -> int | None:
        """The place of the option that is chosen by its number; Enter, and the end of input, choose none."""
        for number, text in enumerate(options, 1):
            _print(self._err, f"[bold]{number:>3}[/]  {escape(text)}")
        while True:
            answer = self.answer(f"{question} A number, or Enter for none:")
            if not answer:
                return None
            if answer.isdecimal() and 1 <= int(answer) <= len(options):
                return int(answer) - 1
            _print(self._err, f"There is no {escape(answer)} here; the numbers are 1 to {len(options)}.")

    def answer(self, question: str) -> str:
        """The line that is typed; empty where it is, and at the end of input. What is no text has a ? in its place."""
        line = ""
        try:
            self._err.print(f"{escape(question)} ", end="")  # a Ctrl-C may come as soon as it can be read
            line = output.typed_line()
        finally:
            if not line.endswith("\n"):  # what is printed next would stand behind the question
                self._err.print()
        return line.strip().encode(errors="replace").decode()

    def warn(self, text: str) -> None:
        """Something that does not stop the task but that the operator must know."""
        _print(self._err, f"[yellow]warning:[/] {escape(text)}")
        self.data("warning", text=text)

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """While events come in: how the plan stands, redrawn in place, where there is a terminal for that."""
        if self._json or self._quiet or not progress.possible(self._err):
            yield
            return
        try:
            with progress.Progress(self._err) as self._progress:
                yield
        finally:
            self._progress = None

    def event(self, event: Event) -> None:
        """What has just happened in a plan: progress for people, data for programs."""
        if self._json:
            output.emit(event.line())
            return
        if self._progress:
            self._progress.note(event)
        if not event.is_journaled:
            return
        begins = event.kind in ("start", "undo") and event.step
        if not (begins and self._progress) and (not self._quiet or event.kind in _LOUD):
            self._lines(self._err, event)

    def event_data(self, event: Event) -> None:
        """An event for programs alone."""
        if self._json:
            output.emit(event.line())

    def past_event(self, event: Event) -> None:
        """What happened in a plan that was asked for: data for people, too."""
        if self._json:
            output.emit(event.line())
        else:
            self._lines(self._out, event)

    def _lines(self, screen: rich.console.Console, event: Event) -> None:
        text = event_text.line(event)
        if text:
            _print(screen, text)
        if self._verbose:
            for detail in event_text.details(event):
                _print(screen, f"[dim]{escape(detail)}[/]")


def _print(screen: rich.console.Console, markup: str) -> None:
    screen.print(output.with_program(markup))


def ending(event: Event) -> CutoverError | None:
    """What a `finished` event means for the exit code; None when all is well."""
    evidence = event.evidence
    outcome = evidence["outcome"]
    health = evidence.get("health", {})
    unknown = health.get("unknown") or ("" if health else "it was not looked at")
    up = [name for name, text in health.items() if text == "healthy"]
    down = [f"{name} ({text})" for name, text in health.items() if text != "healthy"]
    if outcome in ("done", "nothing"):
        return None
    if outcome == "locked":
        return LockHeld.by(evidence.get("holder", {}))
    if outcome == "reverted":
        missing = "; ".join(evidence.get("missing", ()))
        kept = ", ".join(evidence.get("left_by_the_others", ()))
        state = _as_before(health, unknown, up, evidence.get("lost", ()), missing)
        again = "Fix what it names and run the same command again; `inv status` shows what runs."
        place = f"what the other servers left is in {kept}" if kept else "in your backups"
        rescue = f"Look for it before you run the command again: {place}."
        return Failed(
            f"{event.plan} was reverted: {evidence.get('why')}", state=state, next_step=rescue if missing else again
        )
    return ManualInterventionRequired(
        f"{event.plan} failed ({evidence.get('why')}), and undoing “{evidence.get('stuck_at')}” failed too: "
        f"{evidence.get('error')}",
        up=up,
        down=down,
        unknown=unknown,
        next_step=f"Fix the cause on the VPS, then: inv revert --plan {event.plan}",
    )


def _as_before(
    health: Mapping[str, str], unknown: str, up: Sequence[str], lost: Sequence[str], missing: str = ""
) -> str:
    """What stands after a plan was reverted: no more than was looked at."""
    if missing:
        return f"Every step of it is undone, but data is missing: {missing}.\nUp: {', '.join(up) or 'nothing'}."
    if unknown:
        return f"Every step of it is undone. What runs is not known: {unknown}"
    state = f"Up: {', '.join(up) or 'nothing'}."
    if not lost:
        return f"Everything is as before. {state}"
    details = "; ".join(f"{key} ({health.get(key, 'not looked at')})" for key in lost)
    changed = f"Healthy before, and not now: {details}"
    return f"Every step of it is undone, but not everything runs as before.\n{state}\n{changed}"


def impact(event: Event) -> list[tuple[str, ...]]:
    """Rows for a table of what users got, from a `finished` event."""
    return [
        (
            name,
            str(tally["requests"]),
            str(tally["failures"]),
            f"{tally['longest_wait_ms'] / 1000:.2f} s",
            f"{tally['outage_ms'] / 1000:.2f} s",
        )
        for name, tally in event.evidence.get("impact", {}).items()
    ]


IMPACT_COLUMNS = ("asked on the VPS", "requests", "failed", "longest wait", "outage")


def _coloured(cell: str, encoding: str) -> str:
    colour = {"✗": "red", "!": "yellow", "✓": "green"}.get(cell[:1])
    text = escape(output.plain(cell, encoding))  # before columns are measured
    return f"[{colour}]{text}[/]" if colour else text
