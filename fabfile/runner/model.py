"""Plans as data: what a step does, how it is verified and how it is undone.

The same classes build a plan on the operator's machine and execute it on the VPS, so what `--dry` shows and
what happens cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple, Union

from .codec import wire
from .facts import Facts, Wanted, Workload
from .gather import gather
from .machine import Evidence, Machine, Seen, StepFailed


@dataclass(frozen=True)
class Look:
    """What an action finds before it acts."""

    settled: str  # why there is nothing to do; empty when there is
    before: Dict[str, Any]  # what `restore` needs to put everything back; plain JSON, journaled before `do`


class Action:
    """Something that changes the VPS, as data.

    `settled` judges facts alone, so it gives the same answer on the operator's machine (from the survey)
    and on the VPS (from a fresh look). `restore` must work after a `do` that was cut off anywhere, and twice.
    """

    def wants(self) -> Wanted:
        """The facts that `settled` and `before` judge by."""
        return Wanted()

    def unknown(self, facts: Facts) -> str:
        """Why the facts do not tell the present state, so that nothing may be concluded from them; else empty."""
        return ""

    def settled(self, facts: Facts) -> str:
        """Why there is nothing to do, or an empty text."""
        return ""

    def before(self, facts: Facts) -> Dict[str, Any]:
        """What restoring needs to know, as plain JSON."""
        return {}

    def look(self, machine: Machine) -> Look:
        """The present state, read from the VPS. Raises StepFailed when it cannot be read."""
        facts = gather(machine, self.wants())
        problem = self.unknown(facts)
        if problem:
            raise StepFailed(problem)
        return Look(self.settled(facts), self.before(facts))

    def do(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        """Act. Raises StepFailed."""
        raise NotImplementedError

    def restore(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        """Put back what `before` recorded, and only that. Raises StepFailed."""
        raise NotImplementedError

    def about(self) -> Tuple[Workload, ...]:
        """Whose last log lines tell why it failed."""
        return ()

    def describe(self) -> str:
        """One line for the operator: what this does, in words."""
        raise NotImplementedError


class Probe:
    """A question about the VPS, as data."""

    def look(self, machine: Machine) -> Seen:
        """One look, bounded in time. Never raises for a negative answer."""
        raise NotImplementedError

    def until(self, machine: Machine, seconds: float) -> Seen:
        """Look until it holds, at most so long. Raises StepFailed, with the last look's words."""
        return machine.until(lambda: self.look(machine), seconds)

    def about(self) -> Tuple[Workload, ...]:
        """Whose last log lines tell why it does not hold: its evidence has them as runtime/name."""
        return ()

    def describe(self) -> str:
        """What has to be true, in words."""
        raise NotImplementedError


@wire
@dataclass(frozen=True)
class Undo:
    """How a step is taken back: by what its action recorded, or by another action; then verified."""

    action: Optional[Action] = None
    verify: Tuple[Probe, ...] = ()
    deadline: float = 30.0  # seconds in which it is tried again where it fails; and again for all of `verify`


@wire
@dataclass(frozen=True)
class NoUndo:
    """A step that needs no way back, and the reason."""

    why: str


@wire
@dataclass(frozen=True)
class Step:
    """One change: what, how it is verified and until when (seconds), how it is undone.

    `hold` says where requests begin to wait in the parking lot ("begins") and where they are let go ("ends").
    """

    name: str
    action: Action
    undo: Union[Undo, NoUndo]
    verify: Tuple[Probe, ...] = ()
    deadline: float = 30.0
    hold: str = ""


@wire
@dataclass(frozen=True)
class Watch:
    """A request that is repeated all through a plan to measure what the users feel."""

    name: str
    host: str
    port: int
    domain: str
    path: str
    timeout: float = 10.0  # seconds; a longer wait counts as a failure


@wire
@dataclass(frozen=True)
class Plan:
    """Steps in order, and how long to wait for the operator's word at the end (seconds; 0 asks nobody).

    `hold_limit` is how long requests may wait in the parking lot (seconds) before the plan is taken back.
    """

    name: str
    steps: Tuple[Step, ...]
    confirm_within: float = 0.0
    hold_limit: float = 0.0
    watch: Tuple[Watch, ...] = ()
    workloads: Tuple[Workload, ...] = ()  # whose health is told at the end, so that the account is complete
    well: Tuple[str, ...] = ()  # those of them that were healthy before, as runtime/name
    id: str = ""
    who: str = ""
    # For the record: what was asked for, what runs there, and what preflight found but did not refuse.
    settings: Dict[str, str] = field(default_factory=dict)
    versions: Dict[str, str] = field(default_factory=dict)
    warnings: Tuple[str, ...] = ()
