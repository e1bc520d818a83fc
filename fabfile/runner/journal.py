"""The journal: append-only JSON lines, one for each transition, on disk before the next thing happens."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
import threading
import time
from pathlib import Path

from .system.machine import StepFailed
from .wire import formats

RESERVE = 1 << 20  # bytes set aside, so that a plan can be reverted, and say so, on a full disk


class JournalFailed(StepFailed):
    """An event could not be written: what it announces must not happen."""


class Journal:
    """Writes events. `ms` counts from the step's start; without a step, from the plan's."""

    def __init__(self, path: Path, plan: str) -> None:
        self._plan = plan
        self._mutex = threading.Lock()
        self._started = time.monotonic()
        self._step_started = self._started
        self._reserve = path.with_name("reserve")
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        # A line that a crash may have cut off is ended first.
        self._whole = os.fstat(self._handle).st_size == 0
        self._owed = b""  # lines that could not be written yet

    def set_aside(self) -> None:
        """Take the space that a revert may need. Raises JournalFailed while the disk is full."""
        try:
            with open(self._reserve, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE)
        except OSError as error:
            self.release()
            raise JournalFailed(f"there is no space for the journal: {error}") from error

    def release(self) -> None:
        """Give the space back, for what is written from now on."""
        with contextlib.suppress(OSError):
            self._reserve.unlink()

    def write(self, kind: str, step: str | None = None, /, **evidence: object) -> None:
        """Append one event and wait until it is on disk. Raises JournalFailed, as when the disk is full."""
        with self._mutex:
            self._append(self._line(kind, step, evidence))

    def note(self, kind: str, step: str | None = None, /, **evidence: object) -> None:
        """As `write`, for what goes on all the same: a line that cannot be written comes before the next that can."""
        with self._mutex:
            line = self._line(kind, step, evidence)
            try:
                self._append(line)
            except JournalFailed as failure:
                self._owed += line
                print(f"{failure}: {kind} {step}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Close the file; every event is on disk already."""
        os.close(self._handle)

    def _line(self, kind: str, step: str | None, evidence: dict[str, object]) -> bytes:
        now = time.monotonic()
        if kind in ("start", "undo"):
            self._step_started = now
        line = {
            "version": formats.JOURNAL,
            "kind": kind,
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
            "plan": self._plan,
            "step": step,
            "ms": round((now - (self._step_started if step else self._started)) * 1000),
            "evidence": evidence,
        }
        return json.dumps(line, default=str).encode() + b"\n"

    def _append(self, line: bytes) -> None:
        before = os.fstat(self._handle).st_size
        left = (b"" if self._whole else b"\n") + self._owed + line
        try:
            while left:  # a disk that is just getting full takes a part first
                left = left[os.write(self._handle, left) :]
            os.fsync(self._handle)
        except OSError as error:
            self._whole = False
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, before)  # what is not for certain was not said
            raise JournalFailed(f"the journal cannot be written: {error}") from error
        self._whole, self._owed = True, b""
