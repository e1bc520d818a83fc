"""Whatever became of the runner's own files, each verb answers, or says in words what is wrong with them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Unpack

import pytest

from fabfile.runner import main, plan_secrets, recovery, store
from fabfile.runner.actions.base import Action
from fabfile.runner.actions.before import Before, number, rows, table, text, texts
from fabfile.runner.facts.programs import image_versions
from fabfile.runner.soak import sampler
from fabfile.runner.system.machine import Evidence, Machine, StepFailed
from fabfile.runner.wire.codec import decode, encode, wire
from fabfile.runner.wire.facts import FactsRequest
from fabfile.runner.wire.plan import NothingToUndo, Plan, Step, Undo
from tests.checks import test_soak
from tests.record.journals import DONE, PLAN, REVERTED
from tests.runner.support.run_options import RunOptions
from tests.support import fuzz


@wire
@dataclass(frozen=True)
class Note(Action):
    """Changes nothing, and undoes nothing; it reads what it recorded."""

    path: str

    def apply(self, machine: Machine, before: Before) -> Evidence:
        return {}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return {"back": text(before, "path"), "many": texts(before, "many"), "table": table(before, "table")}

    def describe(self) -> str:
        return f"note {self.path}"


STEPS = (
    Step("one", Note("a"), Undo(deadline=0.0), deadline=0.0),
    Step("two", Note("b"), NothingToUndo("it changes nothing at all"), deadline=0.0),
)
BEFORE = {"path": "a", "many": ["a"], "table": {"a": 1}}
JOURNAL = [
    *(line for line in (event.line() for event in DONE[:2])),
    *({**DONE[2].line(), "step": step.name, "evidence": {"what": "x", "before": BEFORE}} for step in STEPS),
]
FORMER = [
    {**{k: v for k, v in line.items() if k not in ("kind", "version")}, "event": line["kind"]} for line in JOURNAL
]


@pytest.fixture
def ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runner's folder, without programs of the VPS."""
    root = tmp_path / "islandflow/ops"
    store.prepare(root)
    (root / "runner-x.pyz").touch()

    def run(self: Machine, argv: Sequence[str], **given: Unpack[RunOptions]) -> None:
        raise StepFailed("no program runs here")

    monkeypatch.setattr(Machine, "run", run)
    monkeypatch.setattr(plan_secrets, "FOLDER", tmp_path / "secrets")
    monkeypatch.setattr(recovery, "await_boot", lambda machine: None)
    (tmp_path / "secrets").mkdir()
    return root


def test_any_plan_and_journal_can_be_listed_and_reverted(ops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ops / "plans" / PLAN
    folder.mkdir()
    plan = encode(replace(Plan("cutover", STEPS, who="ana"), id=PLAN))

    def act(chance: Random) -> None:
        lines = chance.choice((JOURNAL, JOURNAL, FORMER, [event.line() for event in REVERTED]))
        (folder / "journal.jsonl").write_bytes(_journal(chance, lines))
        damaged = fuzz.as_json(chance, {"version": 1, **plan}) if chance.random() < 0.5 else json.dumps(plan)
        (folder / "plan.json").write_text(damaged)
        (ops / "lock").write_bytes(fuzz.damaged(chance, b'{"who": "ana", "what": "cutover", "since": "now"}'))
        (ops / image_versions._FILE).write_text(fuzz.as_json(chance, {"version": 1, "images": {"a": "1"}}))
        (plan_secrets.FOLDER / PLAN).write_text(fuzz.as_json(chance, {"token": "x"}))
        for verb, *words in (("history",), ("history", PLAN), ("survey",), ("revert", PLAN), ("execute", PLAN)):
            _answers(ops, capsys, verb, *words)
        _answers(ops, capsys, *chance.choice((("recover",), ("revert_run", PLAN))))

    fuzz.search(act, share=0.3)


def test_any_file_of_a_soak_can_be_shown_and_gone_on_with(ops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sampler.folder(ops)
    folder.mkdir()
    whole = [event.line() for event in test_soak.lines()]

    def act(chance: Random) -> None:
        (folder / "x.jsonl").write_bytes(_journal(chance, whole))
        _answers(ops, capsys, "soak_show")
        sampler.resumable(ops)
        events = []
        try:
            events = sampler.reader(ops, "x").new_events()
            if events:
                sampler._Sampler(Machine(ops), sampler._request(events)[0], events)
        except ValueError:
            return

    fuzz.search(act)


def test_any_snapshot_of_a_step_is_read_or_refused() -> None:
    def act(chance: Random) -> None:
        before = fuzz.swapped(chance, {"a": "x", "b": 1, "c": ["x"], "d": {"e": 1}})
        for read, key in ((text, "a"), (number, "b"), (rows, "c"), (texts, "c"), (table, "d")):
            read(before, key)

    fuzz.search(act, StepFailed)


def test_whatever_arrives_as_a_request_is_decoded_or_refused() -> None:
    """A dataclass has exactly the types that it declares, or there is none."""
    whole = encode(replace(Plan("cutover", STEPS, who="ana", exposures={"a": 1.5}), id=PLAN))

    def act(chance: Random) -> None:
        value = decode(fuzz.swapped(chance, whole))
        if isinstance(value, Plan):
            assert isinstance(value.name, str) and all(isinstance(step, Step) for step in value.steps)
            assert all(isinstance(step.action, Action) and isinstance(step.name, str) for step in value.steps)

    fuzz.search(act, ValueError)


def _journal(chance: Random, lines: Sequence[dict[str, Any]]) -> bytes:
    """A journal with an accident: among its bytes, or in one of its lines."""
    if chance.random() < 0.4:
        return fuzz.damaged(chance, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
    at = chance.randrange(len(lines))
    texts = [fuzz.as_json(chance, line) if number == at else json.dumps(line) for number, line in enumerate(lines)]
    return "".join(f"{text}\n" for text in texts).encode()


def _answers(ops: Path, capsys: pytest.CaptureFixture[str], verb: str, *words: str) -> None:
    """Run a verb: each line is JSON, and the last one is no fault of the runner's own."""
    request = io.BytesIO(json.dumps(encode(FactsRequest(ops=True))).encode() + b"\n")
    code = main.main([verb, *words], request, ops)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 0 or "error" in lines[-1]
    assert not any("trace" in line for line in lines), lines[-1]["trace"]
