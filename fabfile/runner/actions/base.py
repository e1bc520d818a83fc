"""What every action and every probe is made of."""

from __future__ import annotations

from dataclasses import dataclass

from ..facts.gather import gather
from ..system.machine import Evidence, Machine, Observation, StepFailed
from ..wire.facts import Facts, FactsRequest, Workload
from .before import Before


@dataclass(frozen=True)
class Inspection:
    """What an action finds before it acts."""

    noop_reason: str  # why there is nothing to do; empty when there is
    before: Before  # what `undo` needs to put everything back; plain JSON, journaled before `apply`


class Action:
    """Something that changes the VPS, as data.

    `noop_reason` judges facts alone, so it gives the same answer on the operator's machine (from the survey)
    and on the VPS (from a fresh look). `undo` must work after an `apply` that was cut off anywhere, and twice.
    """

    def required_facts(self) -> FactsRequest:
        """The facts that `noop_reason` and `snapshot` judge by."""
        return FactsRequest()

    def unreadable_reason(self, facts: Facts) -> str:
        """Why the facts do not tell the present state, so that nothing may be concluded from them; else empty."""
        return ""

    def noop_reason(self, facts: Facts) -> str:
        """Why there is nothing to do, or an empty text."""
        return ""

    def snapshot(self, facts: Facts) -> Before:
        """What restoring needs to know, as plain JSON."""
        return {}

    def look(self, machine: Machine) -> Inspection:
        """The present state, read from the VPS. Raises StepFailed when it cannot be read."""
        facts = gather(machine, self.required_facts())
        problem = self.unreadable_reason(facts)
        if problem:
            raise StepFailed(problem)
        return Inspection(self.noop_reason(facts), self.snapshot(facts))

    def apply(self, machine: Machine, before: Before) -> Evidence:
        """Act. Raises StepFailed."""
        raise NotImplementedError

    def undo(self, machine: Machine, before: Before) -> Evidence:
        """Put back what `snapshot` recorded, and only that. Raises StepFailed."""
        raise NotImplementedError

    def about(self) -> tuple[Workload, ...]:
        """Whose last log lines tell why it failed."""
        return ()

    def describe(self) -> str:
        """One line for the operator: what this does, in words."""
        raise NotImplementedError


class Probe:
    """A question about the VPS, as data."""

    def look(self, machine: Machine) -> Observation:
        """One look, bounded in time. Never raises for a negative answer."""
        raise NotImplementedError

    def until(self, machine: Machine, seconds: float) -> Observation:
        """Look until it holds, at most so long. Raises StepFailed, with the last look's words."""
        return machine.until(lambda: self.look(machine), seconds)

    def about(self) -> tuple[Workload, ...]:
        """Whose last log lines tell why it does not hold: its evidence has them as runtime/name."""
        return ()

    def describe(self) -> str:
        """What has to be true, in words."""
        raise NotImplementedError
