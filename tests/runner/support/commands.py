"""Steps for tests of the engine: a command with the one that undoes it, and a wait.

tests/runner/test_main.py adds this module to the zipapp, where the runner's package is called `runner`.
"""

from __future__ import annotations

from dataclasses import dataclass

from fabfile.runner.actions.base import Action, Probe
from fabfile.runner.actions.before import Before
from fabfile.runner.system.machine import Evidence, Machine, StepFailed
from fabfile.runner.wire.codec import wire


@wire
@dataclass(frozen=True)
class Run(Action):
    """Runs a command; `back` is the command that undoes it."""

    argv: tuple[str, ...]
    back: tuple[str, ...] = ()

    def apply(self, machine: Machine, before: Before) -> Evidence:
        return {"said": machine.run(self.argv, timeout=60).excerpt}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        if not self.back:
            raise StepFailed(f"`{' '.join(self.argv)}` has no command that undoes it")
        return {"said": machine.run(self.back, timeout=60).excerpt}

    def describe(self) -> str:
        return f"run `{' '.join(self.argv)}`"


@wire
@dataclass(frozen=True)
class Await(Action):
    """Changes nothing: waits until a probe holds, at most `seconds`."""

    probe: Probe
    seconds: float

    def apply(self, machine: Machine, before: Before) -> Evidence:
        seen = machine.until(lambda: self.probe.check(machine), self.seconds)
        return {"seen": seen.text, **seen.data}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return {}

    def describe(self) -> str:
        return f"wait until {self.probe.describe()}"
