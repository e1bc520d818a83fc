"""Commands of the app itself, and waiting."""

from __future__ import annotations

from dataclasses import dataclass

from ..system.machine import Evidence, Machine, StepFailed
from ..wire.codec import wire
from .base import Action, Probe
from .before import Before


@wire
@dataclass(frozen=True)
class Run(Action):
    """Runs a command as a user in a folder; the way back is another command, given with the step."""

    argv: tuple[str, ...]
    user: str = ""
    cwd: str = ""
    timeout: float = 60.0

    def do(self, machine: Machine, before: Before) -> Evidence:
        result = machine.run(self.argv, user=self.user or None, cwd=self.cwd or None, timeout=self.timeout)
        return {"said": result.said}

    def restore(self, machine: Machine, before: Before) -> Evidence:
        raise StepFailed(f"`{' '.join(self.argv)}` does not know its way back")

    def describe(self) -> str:
        return f"run `{' '.join(self.argv)}`" + (f" as {self.user}" if self.user else "")


@wire
@dataclass(frozen=True)
class Await(Action):
    """Changes nothing: waits until a probe holds, at most `seconds`."""

    probe: Probe
    seconds: float

    def do(self, machine: Machine, before: Before) -> Evidence:
        seen = machine.until(lambda: self.probe.look(machine), self.seconds)
        return {"seen": seen.text, **seen.data}

    def restore(self, machine: Machine, before: Before) -> Evidence:
        return {}

    def describe(self) -> str:
        return f"wait until {self.probe.describe()}"
