"""Steps for tests of the engine: real files, and faults wherever one is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fabfile.runner.actions.base import Action, Inspection, Probe
from fabfile.runner.actions.before import Before
from fabfile.runner.system.machine import Evidence, Machine, Observation, StepFailed
from fabfile.runner.wire.codec import wire

PLACES = ("look", "before do", "after do", "verify", "undo", "verify undo")
"""Where a step can break."""


@wire
@dataclass(frozen=True)
class Brick(Action):
    """Writes a text into a file. `fault` names where it breaks, `kind` how."""

    path: str
    text: str
    fault: tuple[str, ...] = ()
    kind: str = "StepFailed"

    def inspect(self, machine: Machine) -> Inspection:
        self._break("look")
        found = _read(self.path)
        return Inspection("written already" if found == self.text else "", {"text": found})

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self._break("before do")
        Path(self.path).write_text(self.text)
        self._break("after do")
        return {"wrote": self.text}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        self._break("undo")
        if before["text"] is None:
            Path(self.path).unlink(missing_ok=True)
        else:
            Path(self.path).write_text(str(before["text"]))
        return {}

    def describe(self) -> str:
        return f"write {self.path}"

    def _break(self, place: str) -> None:
        if place not in self.fault:
            return
        if self.kind == "StepFailed":
            raise StepFailed(f"broken at {place}", event="a key", step="that", message="collides", self="too")
        raise {"OSError": OSError, "KeyError": KeyError, "ValueError": ValueError}[self.kind](place)


@wire
@dataclass(frozen=True)
class Holds(Probe):
    """Whether a file holds a text; `broken` makes it always say no."""

    path: str
    text: str | None
    broken: bool = False
    final: bool = False  # what does not hold will not

    def check(self, machine: Machine) -> Observation:
        good = not self.broken and _read(self.path) == self.text
        data = {"message": "a key", "event": "that collides"}
        return Observation(good, "as wanted" if good else "not as wanted", data, self.final)

    def describe(self) -> str:
        return f"{self.path} holds its text"


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except FileNotFoundError:
        return None
