"""The proof that a hand-over lost nothing: what each server holds is counted before it stops and after the next starts.

Until the comparison has passed, the data as it was is kept aside, and the new servers are killed, not stopped, if the
plan is reverted: a Redis that started empty would save that on its way out. A plan that is reverted counts once more,
with the former servers, and deletes what the new ones left only when all is there again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..facts.data.holding import holdings, read_logins
from ..system.files import put
from ..system.machine import Evidence, Machine, Observation, StepFailed
from ..wire import shape
from ..wire.codec import decode, encode, wire
from ..wire.data import DataRef, Holding, losses, totals
from .base import Action
from .before import Before
from .keep_aside import delete, left_by_others, mark_proven

_HOLDINGS_FILE = "holdings.json"  # in the plan's own backups
_READ_SECONDS = 10.0  # in which a server that answers may still read data in the background


@wire
@dataclass(frozen=True)
class CountData(Action):
    """Counts what the servers hold, and stores the counts. With `must` a server that can't be counted fails the step.

    Its undo compares what they hold once they run again: an app that is up with less is no reason to stop it, so the
    evidence has what is missing, and nothing is raised.
    """

    refs: tuple[DataRef, ...]
    must: bool
    timeout: float = 60.0  # seconds until servers that have just started answer again

    def prepare(self) -> None:
        read_logins(self.refs)

    def apply(self, machine: Machine, before: Before) -> Evidence:
        counts = {key.partition("/")[2]: holding for key, holding in holdings(machine, self.refs).items()}
        problems = {name: holding.problem for name, holding in counts.items() if holding.problem}
        if problems and self.must:
            raise StepFailed("; ".join(problems.values()))
        text = json.dumps({name: encode(holding) for name, holding in counts.items() if not holding.problem})
        put(machine.backups / _HOLDINGS_FILE, text.encode(), 0o600, "root", "root")
        return {"held": _figures(counts), **({"not_counted": problems} if problems else {})}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        if not (machine.backups / _HOLDINGS_FILE).exists():
            return {}
        try:
            missing = _Comparison(machine, self.refs).missing(self.timeout)
        except StepFailed as error:
            missing = [str(error)]
        folders = [path for path in (left_by_others(machine, ref.folder) for ref in self.refs) if path.exists()]
        if missing:
            return {"missing": missing, "left_by_the_others": list(map(str, folders))}
        for folder in folders:
            delete(folder)
        return {}

    def describe(self) -> str:
        return "count what " + ", ".join(ref.name for ref in self.refs) + " hold"


@dataclass
class _Comparison:
    """Compares what servers hold now with the stored counts. Raises StepFailed where those can't be read."""

    machine: Machine
    refs: tuple[DataRef, ...]

    def __post_init__(self) -> None:
        self.former = _read_holdings(self.machine)
        self.now: dict[str, Holding] = {}

    def missing(self, timeout: float) -> list[str]:
        """Return what is missing. The servers have `timeout` seconds to answer, then a few to finish reading."""
        self.machine.wait(self._answers, timeout)
        self.machine.wait(self._all_there, _READ_SECONDS)
        return self._missing()

    def _answers(self) -> Observation:
        refs = tuple(ref for ref in self.refs if ref.name in self.former)
        self.now = {key.partition("/")[2]: holding for key, holding in holdings(self.machine, refs).items()}
        return Observation(not any(holding.problem for holding in self.now.values()), "")

    def _all_there(self) -> Observation:
        # The first count is the one in which they answered.
        if self._missing():
            self._answers()
        return Observation(not self._missing(), "")

    def _missing(self) -> list[str]:
        return [
            f"{name}: {what}"
            for name in self.former
            for what in losses(self.former[name], self.now.get(name, Holding(problem="was not asked")))
        ]


@wire
@dataclass(frozen=True)
class CompareData(Action):
    """Counts again where the servers run now, until all that was counted before is there. Raises StepFailed."""

    refs: tuple[DataRef, ...]
    timeout: float = 60.0  # seconds until servers that have just started answer

    def prepare(self) -> None:
        read_logins(self.refs)

    def apply(self, machine: Machine, before: Before) -> Evidence:
        comparison = _Comparison(machine, self.refs)
        missing = comparison.missing(self.timeout)
        if missing:
            raise StepFailed(f"data is missing after the hand-over: {'; '.join(missing)}")
        mark_proven(machine)
        before, after = _figures(comparison.former), _figures(comparison.now)
        rows = [[name, what, before[name][what], after[name].get(what, 0)] for name in before for what in before[name]]
        return {"handed_over": rows}

    def describe(self) -> str:
        return "compare what " + ", ".join(ref.name for ref in self.refs) + " hold now"


def _read_holdings(machine: Machine) -> dict[str, Holding]:
    try:
        document = shape.parse((machine.backups / _HOLDINGS_FILE).read_text())
    except (OSError, ValueError) as error:
        raise StepFailed(f"what the servers held before can't be read: {error}") from error
    return {name: decode(holding) for name, holding in document.items()}


def _figures(holdings_by_name: dict[str, Holding]) -> dict[str, dict[str, int]]:
    return {name: dict(totals(holding)) for name, holding in holdings_by_name.items() if not holding.problem}
