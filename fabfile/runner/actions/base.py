"""The base classes of all actions and probes."""

from __future__ import annotations

from dataclasses import dataclass

from ..facts.gather import gather
from ..system.machine import Evidence, Machine, Observation, StepFailed
from ..wire.facts import Facts, FactsRequest, Workload
from .before import Before


@dataclass(frozen=True)
class Inspection:
    """The state of the VPS before an action applies."""

    noop_reason: str  # why there is nothing to do; empty when there is
    before: Before  # what `undo` needs to restore everything; plain JSON, journaled before `apply`


class Action:
    """A change of the VPS, as data.

    `noop_reason` judges facts alone, so it returns the same on the operator's machine (from the survey) and on the VPS
    (from fresh facts). `undo` must work after an `apply` that was cut off anywhere, and twice.
    """

    def required_facts(self) -> FactsRequest:
        """Return the request for the facts that `noop_reason` and `snapshot` need."""
        return FactsRequest()

    def unreadable_reason(self, facts: Facts) -> str:
        """Return why the facts lack the present state, so that nothing may be concluded from them; else empty."""
        return ""

    def noop_reason(self, facts: Facts) -> str:
        """Return why there is nothing to do; empty when there is."""
        return ""

    def snapshot(self, facts: Facts) -> Before:
        """Return what `undo` needs, as plain JSON."""
        return {}

    def inspect(self, machine: Machine) -> Inspection:
        """Read the present state from the VPS. Raises StepFailed when it cannot be read."""
        facts = gather(machine, self.required_facts())
        problem = self.unreadable_reason(facts)
        if problem:
            raise StepFailed(problem)
        return Inspection(self.noop_reason(facts), self.snapshot(facts))

    def prepare(self) -> None:
        """Read before the first step what takes its time and nobody changes, so that no request waits for it."""

    def apply(self, machine: Machine, before: Before) -> Evidence:
        """Change the VPS; returns the evidence. Raises StepFailed."""
        raise NotImplementedError

    def undo(self, machine: Machine, before: Before) -> Evidence:
        """Restore what `snapshot` recorded, and only that; returns the evidence. Raises StepFailed."""
        raise NotImplementedError

    def about(self) -> tuple[Workload, ...]:
        """Return the workloads whose last log lines explain a failure."""
        return ()

    def describe(self) -> str:
        """Return one line for the operator: what this does."""
        raise NotImplementedError


class Probe:
    """A check of the VPS, as data."""

    def check(self, machine: Machine) -> Observation:
        """Check once, in bounded time. A negative result is no exception."""
        raise NotImplementedError

    def until(self, machine: Machine, seconds: float) -> Observation:
        """Check until it holds, for at most `seconds`. Raises StepFailed, with the last observation's text."""
        return machine.until(lambda: self.check(machine), seconds)

    def about(self) -> tuple[Workload, ...]:
        """Return the workloads whose last log lines explain a failure: its evidence has them as runtime/name."""
        return ()

    def describe(self) -> str:
        """Return one line for the operator: what has to hold."""
        raise NotImplementedError
