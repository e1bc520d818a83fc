"""Executes a plan: inspects, applies, verifies and journals each step, or undoes all of them."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from .actions.base import Probe
from .actions.before import Before
from .availability import Watcher
from .facts import logs
from .facts.health import wait_until_settled
from .journal import Journal
from .system.deadline import Deadline
from .system.files import clear_all
from .system.machine import POLL_SECONDS, REVERTING, Evidence, Machine, StepFailed, failure_detail
from .traffic import Traffic
from .wire.plan import NothingToUndo, Plan, Step, Undo

SETTLE_SECONDS = 30.0  # for what a reverted plan leaves to come up, where a reboot had it start with the VPS
RETRY_SECONDS = 0.5  # until an undo that failed is tried again

StartedStep = tuple[Step, Before]  # a step that was started, and its action's snapshot


@dataclass
class Engine:
    """Executes one plan; `decision` returns the operator's: confirm, revert, or empty while there is none."""

    plan: Plan
    machine: Machine
    journal: Journal
    decision: Callable[[], str]
    held_seconds: float = 0.0  # that requests had to wait in the parking lot
    journaled_logs: dict[str, list[str]] = field(default_factory=dict)  # last log lines that are in the journal already
    began: float = field(default_factory=time.time)  # epoch, seconds: earlier log lines do not concern this plan

    def execute(self) -> str:
        """Run the plan to its end; returns the outcome: done, nothing, reverted or stuck.

        Raises JournalFailed when nothing could be begun, or the end could not be journaled.
        """
        self.journal.reserve_space()
        self.journal.write("start", None, **self._heading())
        started: list[StartedStep] = []
        with Watcher(self.plan.watch, self.journal) as watcher, Traffic(watcher, self.machine, self.journal):
            self.machine.served_since = watcher.served_since
            self.machine.reverting = lambda: self.decision() == "revert"
            ending: Evidence = {}
            try:
                self._run_steps(started)
                if started and self.plan.confirm_within:
                    self._await_decision()
                outcome = "done" if started else "nothing"
            except StepFailed as failure:
                outcome, ending = self._undo_steps(started, str(failure))
        return self._finish(outcome, impact=watcher.impact(), held_ms=round(self.held_seconds * 1000), **ending)

    def revert(self, events: list[dict[str, Any]]) -> str:
        """Undo the steps that an interrupted plan had started, by its journal; returns the outcome."""
        self.journal.release_space()
        self.journal.withdraw()  # what a runner that was killed still shows
        clear_all(self.machine.backups)
        self.journal.write("start", None, **self._heading(), reverting=True)
        stuck = any(event["kind"] == "finished" and event["evidence"].get("outcome") == "stuck" for event in events)
        why = "an undo of it had failed" if stuck else "the plan was interrupted"
        outcome, ending = self._undo_steps(started_steps(self.plan, events), why)
        return self._finish(outcome, **ending)

    def _heading(self) -> Evidence:
        """Return the evidence of the plan's start."""
        plan = self.plan
        steps = len(plan.steps)
        facts = {"versions": plan.versions, "exposures": plan.exposures, "warnings": list(plan.warnings)}
        return {
            "name": plan.name,
            "who": plan.who,
            "host": platform.node(),
            "settings": plan.settings,
            "steps": steps,
            **facts,
        }

    def _run_steps(self, started: list[StartedStep]) -> None:
        for step in self.plan.steps:
            step.action.prepare()
        for step in self.plan.steps:
            if self.decision() == "revert":
                raise StepFailed(REVERTING)
            with self._journaling_failures("failed", step):
                self._run_step(step, started)

    def _run_step(self, step: Step, started: list[StartedStep]) -> None:
        inspection = step.action.inspect(self.machine)
        if inspection.noop_reason:
            self._verify(step.verify, step.deadline)
            self.journal.write("noop", step.name, why=inspection.noop_reason)
            return
        hold = {"hold": step.hold} if step.hold else {}
        self.journal.write("start", step.name, what=step.action.describe(), before=inspection.before, **hold)
        started.append((step, inspection.before))
        if step.hold == "begins":
            self.machine.hold = Deadline(self.plan.hold_limit)
        evidence = step.action.apply(self.machine, inspection.before)
        if step.hold == "ends":
            self._end_hold()
        evidence["verified"] = self._verify(step.verify, step.deadline)
        self.journal.write("done", step.name, **evidence, **hold)

    def _end_hold(self) -> None:
        """End the hold: no request waits any more, or the undo begins, which only its own deadlines may limit."""
        if self.machine.hold is not None:
            self.held_seconds += self.machine.hold.elapsed
            self.machine.hold = None

    def _begin_undo(self) -> None:
        """Nothing cuts off what runs from now on: neither the hold's limit nor the operator's decision."""
        self._end_hold()
        self.machine.reverting = lambda: False

    def _verify(self, probes: tuple[Probe, ...], deadline: float) -> list[str]:
        limit = Deadline(deadline)
        return [probe.until(self.machine, limit.left).text for probe in probes]

    def _await_decision(self) -> None:
        """Wait until the operator confirms. Raises StepFailed if they revert, or decide nothing in time."""
        self.journal.write("waiting", None, seconds=self.plan.confirm_within)
        deadline = Deadline(self.plan.confirm_within)
        while not deadline.passed:
            decision = self.decision()
            if decision == "confirm":
                return
            if decision == "revert":
                raise StepFailed(REVERTING)
            time.sleep(POLL_SECONDS)
        raise StepFailed(f"nobody confirmed within {self.plan.confirm_within:g} s")

    def _undo_steps(self, started: list[StartedStep], why: str) -> tuple[str, Evidence]:
        self._begin_undo()
        self.journal.release_space()
        missing: Evidence = {}
        for step, before in reversed(started):
            try:
                evidence = self._undo_step(step, before)
            except StepFailed as failure:
                return "stuck", {"why": why, "stuck_at": step.name, "error": str(failure), **missing}
            missing.update((key, evidence[key]) for key in ("missing", "left_by_the_others") if evidence.get(key))
        return "reverted", {"why": why, **missing}

    def _undo_step(self, step: Step, before: Before) -> Evidence:
        if isinstance(step.undo, NothingToUndo):
            self.journal.try_write("undone", step.name, why=step.undo.why)
            return {}
        undo: Undo = step.undo
        self.journal.try_write("undo", step.name)
        with self._journaling_failures("stuck", step):
            evidence = self._undo_with_retries(step, undo, before)
            evidence["verified"] = self._verify(undo.verify, undo.deadline)
        self.journal.try_write("undone", step.name, **evidence)
        return evidence

    @contextlib.contextmanager
    def _journaling_failures(self, event: str, step: Step) -> Iterator[None]:
        """Journal every failure inside and raise it as StepFailed, a fault of the runner's own too.

        During an undo a journal that cannot be written stops nothing; the next revert repeats what it lacks.
        """
        try:
            yield
        except StepFailed as failure:
            self._add_logs(failure, step, step.verify if event == "failed" else _undo_probes(step))
            self.journal.try_write(event, step.name, **failure.evidence)
            raise
        except Exception as error:  # a fault of ours must revert the plan as well, whatever it is
            fault = StepFailed(f"{type(error).__name__}: {error}")
            self.journal.try_write(event, step.name, **fault.evidence)
            raise fault from error

    def _add_logs(self, failure: StepFailed, step: Step, probes: tuple[Probe, ...]) -> None:
        """Add to a failure the last log lines of what failed, and of nothing else."""
        self._begin_undo()
        by_key = {f"{w.runtime}/{w.name}": w for probe in probes for w in probe.about()}
        unhealthy = [w for key, w in by_key.items() if failure.evidence.get(key, "healthy") != "healthy"]
        workloads = unhealthy or logs.failed(self.machine, step.action.about())
        lines = logs.last_lines(self.machine, workloads, self.began) if workloads else {}
        new_lines = {key: text for key, text in lines.items() if self.journaled_logs.get(key) != text}
        if new_lines:  # what did not come up the first time may log the same during the undo
            failure.args = (f"{failure}\n{logs.excerpt(new_lines)}",)
        if lines:
            failure.evidence.update(error=str(failure), logs=lines)
        self.journaled_logs.update(lines)

    def _undo_with_retries(self, step: Step, undo: Undo, before: Before) -> Evidence:
        """Undo a step, and retry until the undo's deadline.

        The cause of a failure may pass by itself: a daemon restarts, an nginx is just coming up.
        """
        deadline = Deadline(undo.deadline)
        failures: list[str] = []
        while True:
            try:
                evidence = step.action.undo(self.machine, before)
            except (StepFailed, OSError) as failure:
                if deadline.passed:
                    raise
                failures.append(failure_detail(failure))
                time.sleep(RETRY_SECONDS)
            else:
                return {**evidence, "tries": len(failures) + 1, "at_first": failures[0]} if failures else evidence

    def _finish(self, outcome: str, **evidence: object) -> str:
        self.journal.release_space()
        health = self._final_health(outcome)
        if outcome == "reverted":
            evidence["lost"] = [key for key in self.plan.well if health.get(key, "healthy") != "healthy"]
        self.journal.write("finished", None, outcome=outcome, health=health, **evidence)
        return outcome

    def _final_health(self, outcome: str) -> dict[str, str]:
        """Return the health of each workload; if it cannot be read, the reason under `unknown`.

        What was reverted after a reboot may still be coming up: it has time before it counts as down.
        """
        seconds = SETTLE_SECONDS if outcome == "reverted" else 0.0
        try:
            verdicts = wait_until_settled(self.machine, self.plan.workloads, seconds)
        except (StepFailed, OSError, ValueError, LookupError) as error:
            return {"unknown": f"{type(error).__name__}: {error}"}
        return {key: verdict.text for key, verdict in verdicts.items()}


def _undo_probes(step: Step) -> tuple[Probe, ...]:
    return step.undo.verify if isinstance(step.undo, Undo) else ()


def started_steps(plan: Plan, events: list[dict[str, Any]]) -> list[StartedStep]:
    """Return the steps that a journal shows as started and not undone, in order, each with its snapshot."""
    before: dict[str, Before] = {}
    for event in events:
        step = event.get("step")
        if step is None:
            continue
        if event["kind"] == "start":
            snapshot = event.get("evidence", {}).get("before")
            before[step] = snapshot if isinstance(snapshot, dict) else {}  # its undo says what it lacks
        elif event["kind"] == "undone":
            before.pop(step, None)
    return [(step, before[step.name]) for step in plan.steps if step.name in before]


def read_decision(folder: Path) -> Callable[[], str]:
    """Return a function that reads the operator's decision from a plan's folder."""

    def read() -> str:
        try:
            return (folder / "say").read_text(errors="replace").strip()
        except OSError:  # there is no decision yet, or none that can be read
            return ""

    return read
