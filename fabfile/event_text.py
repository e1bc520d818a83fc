"""Events of a journal in words, a line each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from rich.markup import escape

from fabfile.runner.wire.events import Event

_MARKS: Final = {
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
_IN_LINE: Final = (
    "what",
    "why",
    "error",
    "said",
    "before",
    "diffs",
    "logs",
    "hold",
    "impact",
)  # elsewhere, or too long


def outage(event: Event) -> str:
    """An `outage` event in words, as in: flow.example was away for 1.20 s (3 × answered 502)."""
    errors = ", ".join(f"{count} × {error}" for error, count in event.evidence["errors"].items())
    return f"{event.evidence['watch']} was away for {event.evidence['lasted_ms'] / 1000:.2f} s ({errors})"


def line(event: Event) -> str:
    """An event in Rich's markup, as in: ✓ docker: stop 2.1 s; empty for one that has no line."""
    kind, step, evidence = event.kind, event.step, event.evidence
    mark, seconds = _MARKS.get(kind, " "), f"[dim]{event.ms / 1000:.1f} s[/]"
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
    kind, evidence = event.kind, event.evidence
    if kind == "start":
        return f"{mark} {escape(evidence.get('name', ''))} [dim]{event.plan} by {escape(evidence.get('who', ''))}[/]"
    if kind == "waiting":
        left = evidence.get("left", evidence["seconds"])
        return f"{mark} waiting {left:.0f} s for the public checks' confirmation"
    if kind == "outage":
        return f"{mark} {escape(outage(event))}"
    return ""


def details(event: Event) -> Iterator[str]:
    """The evidence of an event that its own line leaves out."""
    for key, value in event.evidence.items():
        if key not in _IN_LINE and value not in ("", None, [], {}):
            yield f"    {key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
