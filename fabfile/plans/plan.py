"""Building plans: steps are tuples, so they add up; a Plan is what gets shipped."""

from __future__ import annotations

import dataclasses
import datetime
import getpass
import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fabfile.runner.actions.base import Action, Probe
from fabfile.runner.actions.files import File
from fabfile.runner.wire.codec import encode
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.plan import NothingToUndo, Plan, Step, Undo, Watch

__all__ = ["Action", "NothingToUndo", "Plan", "Probe", "Step", "Steps", "Undo", "Watch"]

Steps = tuple[Step, ...]


def identified(
    plan: Plan,
    versions: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    exposures: Mapping[str, float] | None = None,
) -> Plan:
    """The plan with an identifier of its own (sortable by time), who asks for it, and what its record must know.

    `versions` are the servers' by program, those that could not be told left empty; `warnings` are preflight's,
    `exposures` the native units' scores.

    Raises ValueError when two steps share a name: the journal could not tell them apart.
    """
    names = [step.name for step in plan.steps]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"plan {plan.name} names these steps twice: {', '.join(twice)}")
    return dataclasses.replace(
        plan,
        id=identifier(plan.name),
        who=operator(),
        versions={name: version for name, version in (versions or {}).items() if version},
        warnings=tuple(warnings),
        exposures=dict(exposures or {}),
    )


def identifier(name: str) -> str:
    """A new name for what is started on a VPS: it begins with its time, and two of a second don't share it."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    return f"{stamp}-{name.replace('.', '-')}-{secrets.token_hex(3)}"


def operator() -> str:
    """Who starts it, as user@machine."""
    return f"{getpass.getuser()}@{platform.node()}"


@dataclass(frozen=True)
class Judgement:
    """A plan, with the facts that it was judged by, and the steps that have nothing to do: name → why."""

    plan: Plan
    facts: Facts
    no_ops: Mapping[str, str]

    @property
    def changes(self) -> int:
        """How many steps would change something."""
        return len(self.plan.steps) - len(self.no_ops)


def judge(plan: Plan, facts: Facts) -> Judgement:
    """The plan, judged by the survey as the VPS judges each step by a look of its own."""
    readable = [step for step in plan.steps if not step.action.unreadable_reason(facts)]
    reasons = {step.name: step.action.noop_reason(facts) for step in readable}
    return Judgement(plan, facts, {name: reason for name, reason in reasons.items() if reason})


def contents(plan: Plan) -> dict[str, bytes]:
    """SHA-256 → bytes of every file that the plan writes."""
    return {file.sha256: file.content for file in files(plan)}


def files(plan: Plan) -> list[File]:
    """Every file that the plan writes, in order."""
    return [value for value in _values(plan) if isinstance(value, File)]


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, as it is shipped and kept."""
    data: dict[str, Any] = encode(plan)
    return data


def _values(value: Any) -> Iterator[Any]:
    """A value and everything inside it."""
    yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _values(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _values(item)
