"""One line of a journal as data: what happened in a plan or in a soak, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from . import formats

Kind = Literal["start", "noop", "done", "failed", "undo", "undone", "stuck", "waiting", "outage", "sample", "finished"]
Outcome = Literal["done", "nothing", "reverted", "stuck", "locked"]

KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Event:
    """What happened at `time` (UTC, ISO 8601) in a plan or a soak.

    `step` is None for what concerns the plan as a whole. `ms` counts milliseconds since the step's start or undo, else
    the plan's. docs/events.md lists the evidence of each kind.
    """

    time: str
    plan: str
    step: str | None
    kind: Kind
    ms: int
    evidence: dict[str, Any] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        """The event as the journal has it, and as --json prints it."""
        return {
            "version": formats.JOURNAL,
            "kind": self.kind,
            "time": self.time,
            "plan": self.plan,
            "step": self.step,
            "ms": self.ms,
            "evidence": self.evidence,
        }


@dataclass(frozen=True)
class PastPlan:
    """A plan in one line: `outcome` is empty where it has not ended, `felt` is what users got, by hostname."""

    id: str
    plan: str
    who: str
    time: str
    outcome: str
    ms: int
    felt: dict[str, dict[str, Any]]


def event(line: dict[str, Any]) -> Event:
    """The event in a journal's line. Raises ValueError for a line that is none, NewerFormat for a newer one."""
    formats.require(line.get("version"), formats.JOURNAL, "the journal on the VPS")
    kind, evidence = line.get("kind"), line.get("evidence")
    if kind not in KINDS or not isinstance(evidence, dict):
        raise ValueError(f"no event of a journal: {str(line)[:100]}")
    try:
        return Event(line["time"], line["plan"], line["step"], cast(Kind, kind), line["ms"], evidence)
    except KeyError as error:
        raise ValueError(f"an event of a journal has no {error}: {str(line)[:100]}") from None
