"""Writes the journal: append-only JSON lines, one for each transition, on disk before the next one begins."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from .journal_reader import SHOWN
from .system.machine import StepFailed
from .wire import formats

RESERVE_BYTES = 1 << 20  # so that a plan can be reverted, and journal it, on a full disk


class JournalFailed(StepFailed):
    """An event could not be written: what it announces must not happen."""


class Journal:
    """Writes events. `ms` counts from the step's start; without a step, from the plan's."""

    def __init__(self, path: Path, plan: str) -> None:
        self._plan = plan
        self._mutex = threading.Lock()
        self._began = time.monotonic()
        self._step_began = self._began
        self._reserve = path.with_name("reserve")
        self._shown = path.with_name(SHOWN)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        # A line that a crash may have cut off is ended first.
        self._line_complete = os.fstat(self._descriptor).st_size == 0
        self._pending = b""  # lines that are not written yet

    def reserve_space(self) -> None:
        """Allocate the space that a revert may need. Raises JournalFailed while the disk is full."""
        try:
            with open(self._reserve, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError as error:
            self.release_space()
            raise JournalFailed(f"no space for the journal: {error}") from error

    def release_space(self) -> None:
        """Free the reserved space, for the lines that follow."""
        with contextlib.suppress(OSError):
            self._reserve.unlink()

    def write(self, kind: str, step: str | None = None, /, **evidence: object) -> None:
        """Append one event and wait until it is on disk. Raises JournalFailed, as when the disk is full."""
        with self._mutex:
            self._append(self._line(kind, step, evidence))

    def try_write(self, kind: str, step: str | None = None, /, **evidence: object) -> None:
        """Append one event if possible: a line that cannot be written now is written before the next one that can."""
        with self._mutex:
            line = self._line(kind, step, evidence)
            try:
                self._append(line)
            except JournalFailed as failure:
                self._pending += line
                print(f"{failure}: {kind} {step}", file=sys.stderr, flush=True)

    def show(self, kind: str, /, **evidence: object) -> None:
        """Show an event to those who follow the plan, in place of the last one; it is not journaled.

        Whether it reaches the disk decides nothing, so nobody waits for that, and a full disk is no error.
        """
        temporary = self._shown.with_name(f".{SHOWN}")
        with contextlib.suppress(OSError):
            temporary.write_bytes(self._line(kind, None, evidence))
            os.replace(temporary, self._shown)

    def withdraw(self) -> None:
        """Have nothing shown any more."""
        with contextlib.suppress(OSError):
            self._shown.unlink()

    def close(self) -> None:
        """Close the file; every written event is on disk already."""
        os.close(self._descriptor)

    def _line(self, kind: str, step: str | None, evidence: dict[str, object]) -> bytes:
        now = time.monotonic()
        if kind in ("start", "undo"):
            self._step_began = now
        line = {
            "version": formats.JOURNAL,
            "kind": kind,
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
            "plan": self._plan,
            "step": step,
            "ms": round((now - (self._step_began if step else self._began)) * 1000),
            "evidence": evidence,
        }
        return json.dumps(line, default=str).encode() + b"\n"

    def _append(self, line: bytes) -> None:
        size = os.fstat(self._descriptor).st_size
        data = (b"" if self._line_complete else b"\n") + self._pending + line
        try:
            while data:  # a disk that is just getting full takes a part first
                data = data[os.write(self._descriptor, data) :]
            os.fsync(self._descriptor)
        except OSError as error:
            self._line_complete = False
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, size)  # a line that may not be on disk must not be read
            raise JournalFailed(f"the journal cannot be written: {error}") from error
        self._line_complete, self._pending = True, b""


def as_of_now(events: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """The events. A `waiting` that is over, since another kind follows it, gets `decided`, else the seconds `left`."""
    later = [event["kind"] != "outage" for event in events]  # outages are journaled while it waits, too
    return [
        _waiting(event, any(later[number + 1 :])) if event["kind"] == "waiting" else event
        for number, event in enumerate(events)
    ]


def _waiting(event: dict[str, object], over: bool) -> dict[str, object]:
    """Whoever follows later has less time left than the plan waits in all."""
    evidence = event.get("evidence", {})
    if not isinstance(evidence, dict):
        return event
    if over:
        return {**event, "evidence": {**evidence, "decided": True}}
    try:
        seconds = float(evidence["seconds"])
        age = time.time() - datetime.datetime.fromisoformat(str(event["time"])).timestamp()
    except (LookupError, ValueError, TypeError):  # no event of this format; the operator's side says so
        return event
    return {**event, "evidence": {**evidence, "left": round(min(seconds, max(0.0, seconds - age)), 1)}}
