"""Many cells on one lab, in an order that needs few resets: each is run where the one before left the VPS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.lab.faults.cell import COMMANDS, Bench, Verdict
from tests.lab.faults.kinds import FAULTS, Fault

Step = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A fault at a step, by their names."""

    direction: str
    step: str
    fault: str


class Campaign:
    """Runs cells; `told` hears of each verdict as it comes."""

    def __init__(self, bench: Bench, told: Callable[[Verdict], None]) -> None:
        self.bench = bench
        self._told = told
        self._seen: dict[str, tuple[str, dict[str, Step], list[str]]] = {}  # by the state of the VPS
        self._seconds: dict[tuple[str, str], float] = {}  # what each step took without a fault

    def steps(self) -> tuple[str, dict[str, Step], list[str]]:
        """From where the VPS is: the direction that leads away, its steps by name, and those with something to do."""
        traces = self.bench.traces()
        state = json.dumps(traces, sort_keys=True)
        if state not in self._seen:
            direction = "rollback" if traces["owner"] == "native" else "cutover"
            lines = self.bench.vps.good(*COMMANDS[direction], "--dry", "--json").splitlines()
            (found,) = [line for line in map(json.loads, lines) if line["kind"] == "plan"]
            steps = {step["name"]: step for step in found["plan"]["steps"]}
            self._seen[state] = direction, steps, [name for name in steps if name not in found["settled"]]
        return self._seen[state]

    def diagonals(self) -> Iterator[list[Cell]]:
        """Every fault at every step that has something to do, in portions of all faults, each at another step.

        The first portion is a fair sample of the whole: in each direction it meets every fault, and so many steps.
        """
        active = {}
        for direction in COMMANDS:
            found, _, active[direction] = self.steps()
            assert found == direction, found
            self._move(direction)
        for offset in range(max(map(len, active.values()))):
            portion = []
            for direction, steps in active.items():
                if offset < len(steps):
                    turned = steps[offset:] + steps[:offset]
                    portion += [Cell(direction, turned[i % len(steps)], fault.name) for i, fault in enumerate(FAULTS)]
            yield portion

    def run(self, cells: Iterable[Cell]) -> list[Verdict]:
        """Run all of them, each in a state in which its step has something to do; the verdicts."""
        waiting, verdicts, fresh = list(cells), [], False
        while waiting:
            direction, steps, active = self.steps()
            here = [cell for cell in waiting if cell.direction == direction]
            now = next((cell for cell in here if cell.step in active), None)
            if now:
                waiting.remove(now)
                verdicts.append(self._cell(now, steps[now.step]))
                fresh = False
                if verdicts[-1].problems:
                    fresh = self._reset()
            elif here and direction == "cutover" and not fresh:
                fresh = self._reset()
            elif here:
                waiting = [cell for cell in waiting if cell.direction != direction]
                verdicts += [Verdict(c.direction, c.step, c.fault, skipped="had nothing to do") for c in here]
            else:
                self._move(direction)
                fresh = False
        return verdicts

    def _reset(self) -> bool:
        self.bench.vps.lab.reset()
        return True

    def _cell(self, cell: Cell, step: Step) -> Verdict:
        fault: Fault = next(fault for fault in FAULTS if fault.name == cell.fault)
        took = self._seconds.get((cell.direction, cell.step), 0.0)
        verdict = self.bench.run(cell.direction, step, fault, took / 2 if fault.half_way else 0.0)
        self._told(verdict)
        return verdict

    def _move(self, direction: str) -> None:
        """The plan without a fault, to get to the other side."""
        verdict = self.bench.clean(direction)
        self._told(verdict)
        assert not verdict.problems, str(verdict)
        for event in verdict.events:
            if event["event"] == "done":
                self._seconds[(direction, event["step"])] = event["ms"] / 1000


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
    return "·" if verdict.skipped else verdict.outcome.replace("stuck, then ", "resumed: ")
