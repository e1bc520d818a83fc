"""Events → what the operator sees: live on a terminal, plain lines elsewhere, JSON lines when asked."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from fabfile.errors import CutoverError, Failed, LockHeld, ManualInterventionRequired

Event = dict[str, Any]

_MARKS = {
    "start": "[cyan]▸[/]",
    "done": "[green]✓[/]",
    "noop": "[dim]·[/]",
    "failed": "[red]✗[/]",
    "undo": "[yellow]↶[/]",
    "undone": "[yellow]✓[/]",
    "stuck": "[red]✗[/]",
    "waiting": "[cyan]…[/]",
    "outage": "[red]![/]",
}


class Report:
    """Prints what happens; with `json` every line is one JSON object and nothing else is printed."""

    def __init__(self, *, json: bool = False, console: Console | None = None) -> None:
        self._json = json
        self._console = console or Console(file=sys.stdout, highlight=False, emoji=False, soft_wrap=True)
        self._status: Status | None = None

    def say(self, text: str = "") -> None:
        """A line for people."""
        if not self._json:
            self._console.print(escape(text))

    def data(self, kind: str, **values: Any) -> None:
        """A line for programs."""
        if self._json:
            print(json.dumps({"kind": kind, **values}), flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table for people; the first column of a row that begins with ✗ or ! is coloured."""
        if self._json:
            return
        table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_coloured(cell) for cell in row))
        self._console.print(table)

    def warn(self, text: str) -> None:
        """Something that does not stop the task but that the operator must know."""
        if not self._json:
            self._console.print(f"[yellow]warning:[/] {escape(text)}")
        self.data("warning", text=text)

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """While events come in: a spinner with the running step, where there is a terminal."""
        if self._json or not self._console.is_terminal:
            yield
            return
        with self._console.status("starting") as self._status:
            yield
        self._status = None

    def event(self, event: Event) -> None:
        """One line of the journal."""
        if self._json:
            print(json.dumps(event), flush=True)
            return
        line = _line(event)
        if event["event"] in ("start", "undo") and event["step"] and self._status:
            self._status.update(line)
        elif line:
            self._console.print(line)


def ending(event: Event) -> CutoverError | None:
    """What a `finished` event means for the exit code; None when all is well."""
    evidence = event["evidence"]
    outcome = evidence["outcome"]
    health = evidence.get("health", {})
    unknown = health.get("unknown") or ("" if health else "it was not looked at")
    up = [name for name, text in health.items() if text == "healthy"]
    down = [f"{name} ({text})" for name, text in health.items() if text != "healthy"]
    if outcome in ("done", "nothing"):
        return None
    if outcome == "locked":
        return LockHeld.by(evidence["holder"])
    if outcome == "reverted":
        return Failed(
            f"{event['plan']} was reverted: {evidence.get('why')}",
            state=_as_before(health, unknown, up, evidence.get("lost", ())),
            next_step="Mend what it names and run the same command again; `inv status` shows what runs.",
        )
    return ManualInterventionRequired(
        f"{event['plan']} failed ({evidence.get('why')}), and undoing “{evidence.get('stuck_at')}” failed too: "
        f"{evidence.get('error')}",
        up=up,
        down=down,
        unknown=unknown,
        next_step=f"Mend the cause on the VPS, then: inv revert --plan {event['plan']}",
    )


def _as_before(health: Mapping[str, str], unknown: str, up: Sequence[str], lost: Sequence[str]) -> str:
    """What stands after a plan was reverted: no more than was looked at."""
    if unknown:
        return f"Every step of it is undone. What runs is not known: {unknown}"
    state = f"Up: {', '.join(up) or 'nothing'}."
    if not lost:
        return f"Everything is as before. {state}"
    told = "; ".join(f"{key} ({health[key]})" for key in lost)
    return (
        f"Every step of it is undone, but not everything runs as before.\n{state}\nHealthy before, and not now: {told}"
    )


def felt(event: Event) -> list[tuple[str, ...]]:
    """Rows for a table of what the users felt, from a `finished` event."""
    return [
        (
            name,
            str(tally["requests"]),
            str(tally["failures"]),
            f"{tally['longest_wait_ms'] / 1000:.2f} s",
            f"{tally['outage_ms'] / 1000:.2f} s",
        )
        for name, tally in event["evidence"].get("felt", {}).items()
    ]


FELT_COLUMNS = ("asked on the VPS", "requests", "failed", "longest wait", "outage")


def _line(event: Event) -> str:
    kind, step, evidence = event["event"], event["step"], event["evidence"]
    mark, seconds = _MARKS.get(kind, " "), f"[dim]{event['ms'] / 1000:.1f} s[/]"
    if step is None:
        return _plan_line(event, mark)
    name = escape(step)
    if kind == "start":
        return f"{mark} {name} [dim]{escape(evidence.get('what', ''))}[/]"
    if kind == "done":
        return f"{mark} {name} {seconds}"
    if kind == "noop":
        return f"{mark} {name} [dim]{escape(evidence['why'])}[/]"
    if kind in ("failed", "stuck"):
        said = f"\n    {escape(str(evidence['said']))}" if evidence.get("said") else ""
        return f"{mark} {name}: {escape(str(evidence.get('error')))} {seconds}{said}"
    if kind == "undo":
        return f"{mark} undoing: {name}"
    return f"{mark} undone: {name} {seconds}"


def _plan_line(event: Event, mark: str) -> str:
    kind, evidence = event["event"], event["evidence"]
    if kind == "start":
        return f"{mark} {escape(evidence.get('name', ''))} [dim]{event['plan']} by {escape(evidence.get('who', ''))}[/]"
    if kind == "waiting":
        return f"{mark} waiting {evidence['seconds']:g} s for the public checks' confirmation"
    if kind == "outage":
        errors = ", ".join(f"{count} × {error}" for error, count in evidence["errors"].items())
        return (
            f"{mark} {escape(evidence['watch'])} was away for {evidence['lasted_ms'] / 1000:.2f} s ({escape(errors)})"
        )
    return ""


def _coloured(cell: str) -> str:
    colour = {"✗": "red", "!": "yellow", "✓": "green"}.get(cell[:1])
    return f"[{colour}]{escape(cell)}[/]" if colour else escape(cell)
