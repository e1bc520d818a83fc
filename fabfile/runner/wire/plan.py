"""Plans as data: what a step does, how it is verified and how it is undone.

The same classes build a plan on the operator's machine and execute it on the VPS, so what `--dry` shows and
what happens cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .codec import wire
from .facts import Workload

if TYPE_CHECKING:
    from ..actions.base import Action, Probe


@wire
@dataclass(frozen=True)
class Undo:
    """The step's action undoes it, from what it recorded before it acted; then `verify` must hold."""

    verify: tuple[Probe, ...] = ()
    deadline: float = 30.0  # seconds in which it is tried again where it fails; and again for all of `verify`


@wire
@dataclass(frozen=True)
class NothingToUndo:
    """The step needs no undo; `why` says the reason."""

    why: str


@wire
@dataclass(frozen=True)
class Step:
    """One change: what, how it is verified and until when (seconds), how it is undone.

    `hold` says where requests begin to wait in the parking lot ("begins") and where they are released ("ends").
    """

    name: str
    action: Action
    undo: Undo | NothingToUndo
    verify: tuple[Probe, ...] = ()
    deadline: float = 30.0
    hold: str = ""


@wire
@dataclass(frozen=True)
class Watch:
    """A request that is repeated all through a plan to measure what users get."""

    name: str
    host: str
    port: int
    domain: str
    path: str
    timeout: float = 10.0  # seconds; a longer wait counts as a failure
    refusals: tuple[int, ...] = ()  # statuses with which the edge itself may refuse it, before as after


@wire
@dataclass(frozen=True)
class Plan:
    """Steps in order, and how long to wait for the operator's confirmation at the end (seconds; 0: not at all).

    `hold_limit` is how long requests may wait in the parking lot (seconds) before the plan is reverted.
    """

    name: str
    steps: tuple[Step, ...]
    confirm_within: float = 0.0
    hold_limit: float = 0.0
    watch: tuple[Watch, ...] = ()
    workloads: tuple[Workload, ...] = ()  # whose health the last event reports
    well: tuple[str, ...] = ()  # those of them that were healthy before, as runtime/name
    id: str = ""
    who: str = ""
    # For the record: what was requested, the versions on the VPS, preflight's warnings, and native units' scores.
    settings: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    exposures: dict[str, float] = field(default_factory=dict)
