"""Many cells on one lab, in an order that needs few resets: each is run where the one before left the VPS."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from fabfile.errors import CutoverError
from tests.system.faults.cell import COMMANDS, Bench, Verdict
from tests.system.faults.kinds import FAULTS

Step = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A fault at a step, by their names."""

    direction: str
    step: str
    fault: str


class Campaign:
    """Runs cells on a lab that is at the baseline; `told` hears of each verdict as it comes."""

    def __init__(self, bench: Bench, told: Callable[[Verdict], None]) -> None:
        self.bench = bench
        self._told = told
        self._seen: dict[str, tuple[str, dict[str, Step], list[str]]] = {}  # by the state of the VPS
        self._active: dict[str, list[str]] = {}
        self._fresh = True

    def steps(self) -> tuple[str, dict[str, Step], list[str]]:
        """From where the VPS is: the direction that leads away, its steps by name, and those with something to do."""
        traces = self.bench.traces()
        state = json.dumps(traces, sort_keys=True)
        if state not in self._seen:
            direction = "rollback" if traces["owner"] == "native" else "cutover"
            lines = self.bench.vps.good(*COMMANDS[direction], "--dry", "--json").splitlines()
            (found,) = [line for line in map(json.loads, lines) if line["kind"] == "plan"]
            steps = {step["name"]: step for step in found["plan"]["steps"]}
            self._seen[state] = direction, steps, [name for name in steps if name not in found["no_ops"]]
        return self._seen[state]

    def portion(self, direction: str, number: int) -> list[Cell]:
        """Every fault once, each at another step that has something to do; empty when all have been told.

        One portion is a fair sample: it meets all faults and, but for a few, all steps. All of them together are the
        matrix. What there is to do is judged where the direction was first asked for: at the baseline, for cutover.
        """
        if direction not in self._active:
            self._go_before(direction)
            self._active[direction] = self.steps()[2]
        steps = self._active[direction]
        turned = steps[number:] + steps[:number]
        named = [turned[i % len(steps)] for i in range(len(FAULTS))] if number < len(steps) else []
        return [Cell(direction, step, fault.name) for step, fault in zip(named, FAULTS, strict=False)]

    def matrix(
        self, directions: Collection[str], chosen: Callable[[Cell], bool], part: int = 0, parts: int = 1
    ) -> list[Verdict]:
        """Run every cell of these directions that is chosen; the verdicts, in the order of the portions.

        Of `parts` labs that share the work this one does `part`. The directions of a portion are run together: each
        plan that comes to its end brings the VPS to where the other direction begins.
        """
        verdicts: list[Verdict] = []
        for number in itertools.count(part, parts):
            cells = [cell for direction in directions for cell in self.portion(direction, number)]
            if not cells:
                return verdicts
            verdicts += self.run(filter(chosen, cells))
        raise AssertionError("portions have an end")

    def run(self, cells: Iterable[Cell]) -> list[Verdict]:
        """Run all of them, each in a state in which its step has something to do; the verdicts."""
        waiting, verdicts = list(cells), []
        while waiting:
            direction, steps, active = self.steps()
            here = [cell for cell in waiting if cell.direction == direction]
            now = next((cell for cell in here if cell.step in active), None)
            if now:
                waiting.remove(now)
                verdicts.append(self._cell(now, steps[now.step]))
            elif not here:
                self._go_before(waiting[0].direction)
            elif direction == "cutover" and not self._fresh:
                self._reset()
            else:
                waiting = [cell for cell in waiting if cell not in here]
                verdicts += [Verdict(c.direction, c.step, c.fault, skipped="had nothing to do") for c in here]
        return verdicts

    def _cell(self, cell: Cell, step: Step) -> Verdict:
        (fault,) = [fault for fault in FAULTS if fault.name == cell.fault]
        try:
            verdict = self.bench.run(cell.direction, step, fault)
        except (CutoverError, AssertionError, OSError, subprocess.SubprocessError) as error:
            # The VPS itself does not come back, say: the other cells are tried all the same.
            verdict = Verdict(
                cell.direction, cell.step, cell.fault, problems=[f"{type(error).__name__}: {error}"[:500]]
            )
        self._fresh = False
        self._told(verdict)
        if verdict.problems:  # what comes next must not suffer from it
            self._reset()
        return verdict

    def _go_before(self, direction: str) -> None:
        """Have the runtime own that `direction` leads away from."""
        way, _, _ = self.steps()
        if way == direction:
            return
        verdict = self.bench.clean(way)
        self._fresh = False
        self._told(verdict)
        assert not verdict.problems, str(verdict)

    def _reset(self) -> None:
        self.bench.vps.lab.reset()
        self._fresh = True


def table(verdicts: Iterable[Verdict]) -> str:
    """Fault × step → outcome, a table for each direction, with totals."""
    lines: list[str] = []
    every = list(verdicts)
    for direction in COMMANDS:
        own = [verdict for verdict in every if verdict.direction == direction]
        lines += _matrix(direction, own) if own else []
    bad = sum(bool(verdict.problems) for verdict in every)
    run = sum(not verdict.skipped for verdict in every)
    lines.append(f"all: {run - bad} of {run} faults survived, {len(every) - run} cells had nothing to do")
    return "\n".join(lines)


def _matrix(direction: str, verdicts: list[Verdict]) -> list[str]:
    steps = list(dict.fromkeys(verdict.step for verdict in verdicts))
    faults = [fault.name for fault in FAULTS if any(verdict.fault == fault.name for verdict in verdicts)]
    cells = {(verdict.step, verdict.fault): _word(verdict) for verdict in verdicts}
    wide = max(map(len, steps))
    lines = [f"\n{direction}", " ".join([" " * wide, *(f"{fault:16}" for fault in faults)])]
    for step in steps:
        lines.append(" ".join([f"{step:{wide}}", *(f"{cells.get((step, fault), ''):16}" for fault in faults)]))
    run = [verdict for verdict in verdicts if not verdict.skipped]
    good = [verdict for verdict in run if not verdict.problems]
    return [*lines, f"{direction}: {len(good)} of {len(run)} survived"]


def _word(verdict: Verdict) -> str:
    if verdict.problems:
        return "BAD"
    return "·" if verdict.skipped else verdict.outcome.replace("stuck, then ", "reverted by hand: ")
