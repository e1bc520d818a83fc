"""A small VPS in a folder: plans of real files, run by the real engine with a real journal."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fabfile.runner import journal_reader, store
from fabfile.runner.engine import Engine
from fabfile.runner.journal import Journal
from fabfile.runner.system.machine import Machine
from fabfile.runner.wire.codec import decode, encode
from fabfile.runner.wire.plan import Plan, Step, Undo
from tests.runner.support.bricks import Brick, Holds
from tests.support.journal_rules import Story, told


@dataclass
class World:
    """A folder with the runner's own things and the files that plans write."""

    root: Path

    def __post_init__(self) -> None:
        store.prepare(self.ops)
        self.files.mkdir(exist_ok=True)

    @property
    def ops(self) -> Path:
        return self.root / "islandflow" / "ops"

    @property
    def files(self) -> Path:
        return self.root / "files"

    def path(self, name: str) -> str:
        return str(self.files / name)

    def state(self) -> dict[str, bytes]:
        """Everything that plans could have changed."""
        return {str(p.relative_to(self.files)): p.read_bytes() for p in self.files.rglob("*") if p.is_file()}

    def step(self, name: str, *fault: str, text: str = "new", kind: str = "StepFailed") -> Step:
        """A step that writes its text into a file of its own name, and breaks where it is told to."""
        path = self.path(name)
        former = Path(path).read_text() if Path(path).exists() else None
        return Step(
            name,
            Brick(path, text, fault, kind),
            Undo(verify=(Holds(path, former, "verify undo" in fault),), deadline=0.0),
            verify=(Holds(path, text, "verify" in fault),),
            deadline=0.0,
        )

    def ship(self, plan: Plan) -> Path:
        """Put a plan where the runner looks for it, through its JSON; returns its folder."""
        folder = store.plan_folder(self.ops, plan.id)
        folder.mkdir()
        (folder / "backups").mkdir()
        (folder / "plan.json").write_text(json.dumps(encode(plan)))
        return folder

    def execute(self, plan: Plan, decision: Callable[[], str] = lambda: "") -> tuple[str, Story]:
        """Run a plan; returns the outcome and what the journal tells."""
        return self._run(self.ship(plan), decision, lambda engine, events: engine.execute())

    def revert(self, plan: Plan) -> tuple[str, Story]:
        """Take a plan back, as its journal tells."""
        folder = store.plan_folder(self.ops, plan.id)
        return self._run(folder, lambda: "", lambda engine, events: engine.revert(events))

    def events(self, plan: Plan) -> list[dict[str, Any]]:
        return journal_reader.read_journal(store.plan_folder(self.ops, plan.id))

    def story(self, plan: Plan) -> Story:
        """What the journal tells, by the rules."""
        return told(self.events(plan), [step.name for step in plan.steps])

    def _run(self, folder: Path, decision: Callable[[], str], act: Callable[[Engine, Any], str]) -> tuple[str, Story]:
        plan: Plan = replace(decode(store.read_plan(folder)), id=folder.name)
        events = journal_reader.read_journal(folder)
        journal = Journal(folder / "journal.jsonl", plan.id)
        try:
            outcome = act(Engine(plan, Machine(self.ops, folder / "backups"), journal, decision), events)
        finally:
            journal.close()
        return outcome, self.story(plan)


@contextmanager
def new_world() -> Iterator[World]:
    """A world of its own, for one example of many."""
    with tempfile.TemporaryDirectory(prefix="islandflow-test-") as folder:
        yield World(Path(folder))


def plan_of(world: World, *steps: Step, confirm: float = 0.0) -> Plan:
    """A plan of these steps."""
    return Plan("test", steps, confirm_within=confirm, id="p1", who="tester")
