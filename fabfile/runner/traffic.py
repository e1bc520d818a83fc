"""Shows whoever follows a plan what users get at the moment, how the hold stands, and what the command at hand prints.

It is no part of the journal: once a second the last figures are replaced, so that it costs the same however long a plan
takes.
"""

from __future__ import annotations

import threading
from types import TracebackType

from .availability import Watcher
from .facts import logs
from .journal import Journal
from .system.machine import Machine

INTERVAL_SECONDS = 1.0


class Traffic:
    """Shows the figures within its `with` block."""

    def __init__(
        self, watcher: Watcher, machine: Machine, journal: Journal, interval: float = INTERVAL_SECONDS
    ) -> None:
        self._watcher, self._machine, self._journal = watcher, machine, journal
        self._interval = interval  # seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._journal.withdraw()

    def _loop(self) -> None:
        while not self._stop.wait(self._interval):
            held = self._machine.hold  # once: the engine ends it meanwhile
            hold = {"held_ms": round(held.elapsed * 1000), "hold_left_ms": round(held.left * 1000)} if held else {}
            self._journal.show("traffic", impact=self._watcher.now(), **hold, **self._printed())

    def _printed(self) -> dict[str, str]:
        """The last line of the command at hand: no secret that came beside the plan, nor what looks like one."""
        secrets = [secret for secret in self._machine.secrets.values() if secret]
        line = logs.masked(self._machine.printed.strip(), secrets)
        return {"line": line} if line else {}
