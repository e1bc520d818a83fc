"""One line of a journal as data: what happened in a plan or in a soak, and when."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, get_args

from . import formats, shape
from .codec import decode_as
from .soak import Sample, Soak

Kind = Literal[
    "start", "noop", "done", "failed", "undo", "undone", "stuck", "waiting", "outage", "sample", "finished", "traffic"
]
Outcome = Literal["done", "nothing", "reverted", "stuck", "locked"]

_PLAIN_NAME = re.compile(r"[^/.\0][^/\0]*")
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

    @property
    def is_journaled(self) -> bool:
        """Whether the journal has it, too: figures of the moment are only shown."""
        return self.kind != "traffic"

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
    """A plan in one line: `outcome` is empty where it has not ended, `impact` is what users got, by hostname."""

    id: str
    plan: str
    who: str
    time: str
    outcome: str
    ms: int
    impact: dict[str, Impact]


def event(line: dict[str, Any]) -> Event:
    """The event in a journal's line. Raises ValueError for a line that is none, NewerFormat for a newer one."""
    formats.require(line.get("version"), formats.JOURNAL, "the journal on the VPS")
    problem = _line_problem(line) or _evidence_problem(line["kind"], line["evidence"])
    if problem:
        raise ValueError(f"no event of a journal ({problem}): {str(line)[:100]}")
    return Event(line["time"], line["plan"], line["step"], line["kind"], line["ms"], line["evidence"])


def stored_problem(line: object) -> str:
    """Why a stored line is no event, as far as the runner reads it: it undoes what is there. Empty where it is one."""
    return shape.misfit(line, _StoredLine)


def _line_problem(line: object) -> str:
    problem = shape.misfit(line, _Line)
    if problem or not isinstance(line, dict):
        return problem
    if not _PLAIN_NAME.fullmatch(line["plan"]):  # files are named after it
        return f"plan is {line['plan']!r:.40}"
    try:
        datetime.datetime.fromisoformat(line["time"])
    except ValueError:
        return f"time is {line['time']!r:.40}"
    return ""


class _Kind(TypedDict):
    kind: str


class _StoredLine(_Kind, total=False):
    time: str
    plan: str
    step: str | None
    ms: int
    evidence: dict[str, object]


class _Line(TypedDict):
    """A line of a journal."""

    time: str
    plan: str
    step: str | None
    kind: Kind
    ms: int
    evidence: dict[str, object]


# ── Evidence, as far as it is read; docs/events.md says what each means ──────────────────────────────────────────────


class Impact(TypedDict):
    """What the users of a hostname got all through a plan."""

    requests: int
    failures: int
    longest_wait_ms: int
    outage_ms: int


class Measured(Impact, total=False):
    """The same as the runner measures it: `over_time` has each slice since the plan began, a request when it was sent.

    A slice without a request, because another was waiting, has the rest of that one's wait.
    """

    longest_outage_ms: int
    slice_ms: int
    over_time: list[tuple[int, int, int]]  # requests, failures, longest wait of each slice


class _Start(TypedDict, total=False):
    name: str
    who: str
    host: str
    settings: dict[str, str]
    steps: int
    versions: dict[str, str]
    exposures: dict[str, float]
    warnings: list[str]
    what: str
    soak: dict[str, object]


class _Noop(TypedDict):
    why: str


class _Diff(TypedDict):
    path: str
    lines: list[str]


class _Done(TypedDict, total=False):
    verified: list[str]
    diffs: list[_Diff]
    handed_over: list[tuple[str, str, int, int]]


class _Failure(TypedDict):
    error: str


class _Undone(TypedDict, total=False):
    verified: list[str]


class _Waiting(TypedDict):
    seconds: float


class _Outage(TypedDict):
    watch: str
    lasted_ms: int
    errors: dict[str, int]


class Current(TypedDict):
    """What the users of a hostname get at the moment."""

    requests: int
    failures: int
    waiting: int
    longest_wait_ms: int


class _Traffic(TypedDict, total=False):
    impact: dict[str, Current]
    held_ms: int
    hold_left_ms: int
    line: str


class _Sample(TypedDict):
    sample: dict[str, object]


class _Finished(TypedDict, total=False):
    outcome: Outcome
    health: dict[str, str]
    impact: dict[str, Measured]
    held_ms: float
    why: str
    lost: list[str]
    missing: list[str]
    left_by_the_others: list[str]
    stuck_at: str
    error: str
    holder: dict[str, object]


_SHAPES: Mapping[str, type] = {
    "start": _Start,
    "noop": _Noop,
    "done": _Done,
    "failed": _Failure,
    "stuck": _Failure,
    "undone": _Undone,
    "waiting": _Waiting,
    "outage": _Outage,
    "traffic": _Traffic,
    "sample": _Sample,
    "finished": _Finished,
}


def _evidence_problem(kind: str, evidence: Mapping[str, Any]) -> str:
    """What is wrong with the evidence of an event of that kind; empty where all is as it should be."""
    found = shape.misfit(evidence, _SHAPES[kind]) if kind in _SHAPES else ""
    if found or kind not in ("start", "sample", "finished"):
        return found
    if kind == "finished":
        return "" if "outcome" in evidence or "why" in evidence else "outcome is missing"
    try:
        for name, declared in (("soak", Soak), ("sample", Sample)):
            if name in evidence:
                decode_as(declared, evidence[name])
    except ValueError as error:
        return str(error)
    return ""
