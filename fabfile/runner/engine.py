"""Carries out a plan: each step looked at, done, verified and journaled, or everything undone."""

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
from .system.machine import POLL_SECONDS, Evidence, Machine, StepFailed, said
from .wire.plan import NothingToUndo, Plan, Step, Undo

SETTLED = 30.0  # seconds in which what a plan took back comes up, where a reboot had it start with the VPS
AGAIN = 0.5  # seconds until a way back that failed is tried again

StartedStep = tuple[Step, Before]  # a step that was begun, and what its action found before


@dataclass
class Engine:
    """Executes one plan; `word` tells what the operator said so far: confirm, revert or nothing."""

    plan: Plan
    machine: Machine
    journal: Journal
    word: Callable[[], str]
    held: float = 0.0  # seconds that requests had to wait in the parking lot
    quoted: dict[str, list[str]] = field(default_factory=dict)  # last log lines that were told already
    began: float = field(default_factory=time.time)  # epoch, seconds: what was logged before tells nothing

    def execute(self) -> str:
        """Run the plan to its end; returns the outcome: done, nothing, reverted or stuck.

        Raises JournalFailed when nothing could be begun, or the end could not be journaled.
        """
        self.journal.set_aside()
        self.journal.write("start", None, **self._heading())
        taken: list[StartedStep] = []
        with Watcher(self.plan.watch, self.journal) as watcher:
            self.machine.served_since = watcher.served_since
            ending: Evidence = {}
            try:
                self._forward(taken)
                if taken and self.plan.confirm_within:
                    self._await_decision()
                outcome = "done" if taken else "nothing"
            except StepFailed as failure:
                outcome, ending = self._back(taken, str(failure))
        return self._finish(outcome, felt=watcher.felt(), held_ms=round(self.held * 1000), **ending)

    def revert(self, events: list[dict[str, Any]]) -> str:
        """Take back what an interrupted plan had begun, as its journal tells."""
        self.journal.release()
        clear_all(self.machine.backups)
        self.journal.write("start", None, **self._heading(), reverting=True)
        outcome, ending = self._back(begun(self.plan, events), "the plan was interrupted")
        return self._finish(outcome, **ending)

    def _heading(self) -> Evidence:
        """What the record of a plan begins with."""
        plan = self.plan
        about = {"versions": plan.versions, "warnings": list(plan.warnings), "host": platform.node()}
        return {"name": plan.name, "who": plan.who, "settings": plan.settings, **about}

    def _forward(self, taken: list[StartedStep]) -> None:
        for step in self.plan.steps:
            if self.word() == "revert":
                raise StepFailed("the operator asked to revert")
            with self._told("failed", step):
                self._take(step, taken)

    def _take(self, step: Step, taken: list[StartedStep]) -> None:
        look = step.action.look(self.machine)
        if look.noop_reason:
            self._verify(step.verify, step.deadline)
            self.journal.write("noop", step.name, why=look.noop_reason)
            return
        hold = {"hold": step.hold} if step.hold else {}
        self.journal.write("start", step.name, what=step.action.describe(), before=look.before, **hold)
        taken.append((step, look.before))
        if step.hold == "begins":
            self.machine.hold = Deadline(self.plan.hold_limit)
        evidence = step.action.apply(self.machine, look.before)
        if step.hold == "ends":
            self._end_hold()
        evidence["verified"] = self._verify(step.verify, step.deadline)
        self.journal.write("done", step.name, **evidence, **hold)

    def _end_hold(self) -> None:
        """Nobody waits any more, or the way back must not be hurried: then its own deadlines hold."""
        if self.machine.hold is not None:
            self.held += self.machine.hold.elapsed
            self.machine.hold = None

    def _verify(self, probes: tuple[Probe, ...], deadline: float) -> list[str]:
        whole = Deadline(deadline)
        return [probe.until(self.machine, whole.left).text for probe in probes]

    def _await_decision(self) -> None:
        """Dead man's switch: nobody confirming is the same as somebody asking to revert."""
        self.journal.write("waiting", None, seconds=self.plan.confirm_within)
        deadline = Deadline(self.plan.confirm_within)
        while not deadline.passed:
            word = self.word()
            if word == "confirm":
                return
            if word == "revert":
                raise StepFailed("the operator asked to revert")
            time.sleep(POLL_SECONDS)
        raise StepFailed(f"nobody confirmed within {self.plan.confirm_within:g} s")

    def _back(self, taken: list[StartedStep], why: str) -> tuple[str, Evidence]:
        self._end_hold()
        self.journal.release()
        missing: Evidence = {}
        for step, before in reversed(taken):
            try:
                evidence = self._undo(step, before)
            except StepFailed as failure:
                return "stuck", {"why": why, "stuck_at": step.name, "error": str(failure), **missing}
            missing.update((key, evidence[key]) for key in ("missing", "left_by_the_others") if evidence.get(key))
        return "reverted", {"why": why, **missing}

    def _undo(self, step: Step, before: Before) -> Evidence:
        if isinstance(step.undo, NothingToUndo):
            self.journal.note("undone", step.name, why=step.undo.why)
            return {}
        undo: Undo = step.undo
        self.journal.note("undo", step.name)
        with self._told("stuck", step):
            evidence = self._revert_with_retries(step, undo, before)
            evidence["verified"] = self._verify(undo.verify, undo.deadline)
        self.journal.note("undone", step.name, **evidence)
        return evidence

    @contextlib.contextmanager
    def _told(self, event: str, step: Step) -> Iterator[None]:
        """Whatever goes wrong inside, a fault of ours too, is journaled and becomes a StepFailed.

        On the way back a journal that cannot be written stops nobody; the next revert does what it lacks once more.
        """
        try:
            yield
        except StepFailed as failure:
            self._quote(failure, step, step.verify if event == "failed" else _back_verified(step))
            self.journal.note(event, step.name, **failure.evidence)
            raise
        except Exception as error:  # a fault of ours must revert the plan as well, whatever it is
            fault = StepFailed(f"{type(error).__name__}: {error}")
            self.journal.note(event, step.name, **fault.evidence)
            raise fault from error

    def _quote(self, failure: StepFailed, step: Step, probes: tuple[Probe, ...]) -> None:
        """Let a failure have the last log lines of what failed, and of nothing else."""
        self._end_hold()  # it is certain: the way back begins, and must not be hurried
        asked = {f"{w.runtime}/{w.name}": w for probe in probes for w in probe.about()}
        ill = [w for key, w in asked.items() if failure.evidence.get(key, "healthy") != "healthy"]
        chosen = ill or logs.failed(self.machine, step.action.about())
        lines = logs.last_lines(self.machine, chosen, self.began) if chosen else {}
        fresh = {key: said for key, said in lines.items() if self.quoted.get(key) != said}
        if fresh:  # what did not come up the first time may say the same on the way back
            failure.args = (f"{failure}\n{logs.excerpt(fresh)}",)
        if lines:
            failure.evidence.update(error=str(failure), logs=lines)
        self.quoted.update(lines)

    def _revert_with_retries(self, step: Step, undo: Undo, before: Before) -> Evidence:
        """Put back, again and again where that fails, until the undo's deadline.

        What made the plan fail may pass by itself: a daemon that restarts, an nginx that is just coming up.
        """
        deadline = Deadline(undo.deadline)
        failures: list[str] = []
        while True:
            try:
                evidence = step.action.undo(self.machine, before)
            except (StepFailed, OSError) as failure:
                if deadline.passed:
                    raise
                failures.append(said(failure))
                time.sleep(AGAIN)
            else:
                return {**evidence, "tries": len(failures) + 1, "at_first": failures[0]} if failures else evidence

    def _finish(self, outcome: str, **evidence: object) -> str:
        self.journal.release()
        health = self._account(outcome)
        if outcome == "reverted":
            evidence["lost"] = [key for key in self.plan.well if health.get(key, "healthy") != "healthy"]
        self.journal.write("finished", None, outcome=outcome, health=health, **evidence)
        return outcome

    def _account(self, outcome: str) -> dict[str, str]:
        """What is up and what is down in the end; a look that fails says so instead.

        What was reverted after a reboot may still be coming up: then a look at once would tell of an outage.
        """
        patience = SETTLED if outcome == "reverted" else 0.0
        try:
            verdicts = wait_until_settled(self.machine, self.plan.workloads, patience)
        except (StepFailed, OSError, ValueError, LookupError) as error:
            return {"unknown": f"{type(error).__name__}: {error}"}
        return {key: verdict.text for key, verdict in verdicts.items()}


def _back_verified(step: Step) -> tuple[Probe, ...]:
    return step.undo.verify if isinstance(step.undo, Undo) else ()


def begun(plan: Plan, events: list[dict[str, Any]]) -> list[StartedStep]:
    """The steps that a journal shows as begun and not undone, in order, with what they found before."""
    before: dict[str, Before] = {}
    for event in events:
        if event["step"] is None:
            continue
        if event["kind"] == "start":
            before[event["step"]] = event["evidence"]["before"]
        elif event["kind"] == "undone":
            before.pop(event["step"], None)
    return [(step, before[step.name]) for step in plan.steps if step.name in before]


def read_decision(folder: Path) -> Callable[[], str]:
    """Reads the operator's word from a plan's folder."""

    def read() -> str:
        try:
            return (folder / "say").read_text(errors="replace").strip()
        except OSError:  # nothing was said yet, or nothing that can be heard
            return ""

    return read
