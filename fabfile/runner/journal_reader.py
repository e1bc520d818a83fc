"""Reads journals: the events of a plan or of a soak, from the first one or as they come, and what they ended in."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from .wire import formats, shape
from .wire.events import stored_problem

SHOWN = "shown.json"  # beside a journal: the last event that is shown and not journaled


class DamagedJournal(ValueError):
    """A journal has a line that no runner wrote."""


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """Return the events of a plan, without a last line that a crash has cut off.

    Raises NewerFormat and DamagedJournal.
    """
    return Reader(folder).new_events()


class Reader:
    """Reads a plan's journal as it grows."""

    def __init__(self, folder: Path, name: str = "journal.jsonl") -> None:
        self._path = folder / name
        self._at = 0  # bytes
        self._shown: Any = None

    def new_events(self) -> list[dict[str, Any]]:
        """Return the events since the last call; none while there is no journal.

        Raises NewerFormat and DamagedJournal.
        """
        try:
            with open(self._path, "rb") as file:
                file.seek(self._at)
                content = file.read()
        except FileNotFoundError:
            return []
        lines = content[: content.rfind(b"\n") + 1]
        self._at += len(lines)
        events = []
        for line in lines.splitlines():
            with contextlib.suppress(ValueError):
                events.append(shape.parse(line))
        for event in events:
            self._check(event)
        return events

    def newly_shown(self) -> list[dict[str, Any]]:
        """Return what the runner shows beside the journal, where that is new since the last call; else nothing."""
        try:
            event = shape.parse(self._path.with_name(SHOWN).read_bytes())
        except (OSError, ValueError):  # nothing is shown, or what a dying runner left: it decides nothing
            return []
        if event == self._shown or stored_problem(event):
            return []
        self._shown = event
        return [event]

    def _check(self, event: Any) -> None:
        version = event.get("version") if isinstance(event, dict) else None
        formats.require(version, formats.JOURNAL, f"the journal {self._path}")
        if isinstance(event, dict) and "event" in event:  # format 1 calls it so
            event["kind"] = event.pop("event")
        if isinstance(event, dict) and isinstance(event.get("evidence"), dict) and "felt" in event["evidence"]:
            event["evidence"]["impact"] = event["evidence"].pop("felt")  # as the first ones of format 2 have it
        problem = stored_problem(event)
        if problem:
            raise DamagedJournal(f"the journal {self._path} is damaged, by a line that is no event ({problem})")


def outcome(events: list[dict[str, Any]]) -> str:
    """Return a plan's outcome: one of ENDINGS, "stuck", or empty while it has none."""
    for event in reversed(events):
        if event["kind"] == "finished":
            return str(event.get("evidence", {}).get("outcome", ""))
    return ""
