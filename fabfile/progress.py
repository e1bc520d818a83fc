"""The lines at the bottom of a terminal while a plan runs: the step at hand and its output, the hold, what users get.

They are drawn anew in the same place four times a second. Whatever else is printed meanwhile stays above them.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from types import TracebackType

import rich.console
from rich.live import Live
from rich.text import Text

from fabfile import output
from fabfile.runner.wire.events import Event

_REFRESHES_PER_SECOND = 4
_SILENCE_SECONDS = 5.0  # without any figures, which come once a second, before it is said
_LEAST_LINES = 2  # the plan and its step, which are shown on the lowest terminal


def possible(screen: rich.console.Console) -> bool:
    """Whether lines can be drawn anew in place there: not in a file, a log or on a terminal that is dumb."""
    return screen.is_interactive and screen.file.isatty()


class Progress:
    """Shows how the plan stands within its `with` block; `note` gets each event of it."""

    def __init__(self, screen: rich.console.Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen, self._clock = screen, clock
        self._name, self._steps = "", 0
        self._done: set[str] = set()  # steps that are done, and no-ops
        self._to_undo: dict[str, None] = {}  # steps that have begun and are not undone
        self._current: Event | None = None  # the start, the undo or the wait that has no end yet
        self._began: float | None = None  # of the plan, by the VPS's clock
        self._traffic: Event | None = None
        self._ahead = float("-inf")  # by how much the VPS's clock is ahead of this one, as far as events show
        self._heard = clock()
        self._live = Live(
            console=screen, get_renderable=self.text, refresh_per_second=_REFRESHES_PER_SECOND, transient=True
        )

    def __enter__(self) -> Progress:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def note(self, event: Event) -> None:
        """Take in what has happened."""
        self._heard = self._clock()
        self._ahead = max(self._ahead, _epoch(event) - self._heard)
        if event.kind == "traffic":
            self._traffic = event
        elif event.step is None:
            self._note_plan(event)
        elif event.kind == "start":
            self._current = event
            self._to_undo[event.step] = None
        elif event.kind == "undo":
            self._current = event
        elif event.kind in ("done", "noop"):
            self._current = None
            self._done.add(event.step)
        elif event.kind in ("failed", "stuck", "undone"):
            self._current = None
            if event.kind == "undone":
                self._to_undo.pop(event.step, None)

    def _note_plan(self, event: Event) -> None:
        if event.kind == "start":
            self._name, self._began = str(event.evidence.get("name", "")), _epoch(event)
            self._steps = int(event.evidence.get("steps", 0))
        elif event.kind == "waiting":
            self._current = None if event.evidence.get("decided") else event

    def lines(self) -> Iterator[str]:
        """What is shown now, the most important first."""
        total = f" of {self._steps}" if self._steps else ""
        elapsed = f"  {_seconds(self._since(self._began))}" if self._began is not None else ""
        yield f"{self._name or 'the plan begins'}  {len(self._done)}{total} steps{elapsed}"
        yield self._step()
        silence = self._clock() - self._heard
        if silence < _SILENCE_SECONDS:
            yield from self._printed()
            yield from self._figures()
        elif self._traffic and not (self._current and self._current.kind == "waiting"):  # then nobody reads events
            yield f"nothing has come from the VPS for {_seconds(silence)}; the plan goes on there"

    def _step(self) -> str:
        event = self._current
        if event is None:
            return "…"
        elapsed = _seconds(self._since(_epoch(event)))
        if event.kind == "waiting":
            left = max(0.0, event.evidence["seconds"] - self._since(_epoch(event)))  # of all, since it began to wait
            return f"… public checks; without their confirmation it reverts in {_seconds(left)}"
        if event.kind == "undo":
            return f"↶ undoing: {event.step}  {elapsed}  {len(self._to_undo)} to undo"
        return f"▸ {event.step}  {elapsed}  {event.evidence.get('what', '')}"

    def _printed(self) -> Iterator[str]:
        """What the command at hand has printed last, where that is of this step."""
        if self._traffic and self._current and _epoch(self._traffic) >= _epoch(self._current):
            line = self._traffic.evidence.get("line", "")
            yield from [f"  {line}"] if line else []

    def _figures(self) -> Iterator[str]:
        if self._traffic is None:
            return
        evidence, age = self._traffic.evidence, self._since(_epoch(self._traffic))
        if "held_ms" in evidence:
            held, left = evidence["held_ms"] / 1000 + age, max(0.0, evidence.get("hold_left_ms", 0) / 1000 - age)
            yield f"requests have waited for {_seconds(held)}; the hold is given up in {_seconds(left)}"
        for name, now in evidence.get("impact", {}).items():
            served = now["requests"] - now["failures"]
            figures = f"{served} served, {now['waiting']} waiting, {now['failures']} failed"
            yield f"{figures}, longest wait {now['longest_wait_ms'] / 1000:.1f} s  {name}"

    def _since(self, epoch: float) -> float:
        """Seconds since a moment of the VPS's clock."""
        return max(0.0, self._clock() + self._ahead - epoch)

    def text(self) -> Text:
        """The lines as they fit now: cut before the last column, or the terminal would wrap and not redraw them."""
        fitting = list(self.lines())[: max(_LEAST_LINES, self._screen.height - _LEAST_LINES)]
        shown = Text("\n", no_wrap=True, end="").join(_cut(line, self._screen) for line in fitting)
        shown.style = "dim"
        return shown


def _cut(line: str, screen: rich.console.Console) -> Text:
    words = output.plain(output.with_program(line), screen.encoding)
    text = Text("".join(character if character.isprintable() else " " for character in words), no_wrap=True)
    text.truncate(max(1, screen.width - 1), overflow="crop")
    return text


def _epoch(event: Event) -> float:
    return datetime.datetime.fromisoformat(event.time).timestamp()


def _seconds(seconds: float) -> str:
    """A duration that changes under one's eyes, as in 0.8 s, 12 s, 3:07."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02}"
