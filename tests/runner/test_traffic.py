"""What users get at the moment, for those who follow a plan: shown beside the journal, and no part of it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner import journal_reader, main
from fabfile.runner.availability import Watcher
from fabfile.runner.journal import Journal
from fabfile.runner.journal_reader import SHOWN
from fabfile.runner.system.deadline import Deadline
from fabfile.runner.system.machine import Machine
from fabfile.runner.traffic import Traffic
from fabfile.runner.wire.events import event
from fabfile.runner.wire.plan import Watch
from tests.runner.support.servers import certificate, page, serving
from tests.runner.support.worlds import World, plan_of
from tests.runner.test_parking import eventually

NAME = "flow.example.test"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal.jsonl", "p1")
    yield made
    made.close()


def shown(folder: Path) -> dict[str, Any]:
    """What is shown in a plan's folder; empty where nothing is."""
    file = folder / SHOWN
    return json.loads(file.read_text()) if file.exists() else {}


def test_a_request_without_an_answer_waits_and_its_wait_counts_already(
    tmp_path: Path, journal: Journal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    go_on = threading.Event()

    def held(line: Any) -> None:
        line.recv(4096)
        go_on.wait(60)
        line.sendall(page())

    machine = Machine(tmp_path)
    with serving(held, context=certificate(tmp_path_factory.mktemp("tls"), NAME)) as port:
        watches = (Watch("app", "127.0.0.1", port, NAME, "/", 60.0),)
        with Watcher(watches, journal) as watcher, Traffic(watcher, machine, journal, interval=0.05):
            assert eventually(
                lambda: shown(tmp_path).get("evidence", {}).get("impact", {}).get("app", {}).get("waiting")
            )
            waiting = event(shown(tmp_path))
            now = waiting.evidence["impact"]["app"]
            assert now["requests"] == now["failures"] == 0 and now["longest_wait_ms"] >= 500
            assert "held_ms" not in waiting.evidence and waiting.step is None and not waiting.is_journaled
            machine.hold = Deadline(45.0)
            assert eventually(lambda: "held_ms" in shown(tmp_path)["evidence"])
            hold = shown(tmp_path)["evidence"]
            assert 44_000 <= hold["held_ms"] + hold["hold_left_ms"] <= 45_001
            machine.hold = None
            go_on.set()
            assert eventually(lambda: shown(tmp_path)["evidence"]["impact"]["app"]["requests"] >= 2)
            assert eventually(lambda: "held_ms" not in shown(tmp_path)["evidence"])
    assert shown(tmp_path) == {} and [path.name for path in tmp_path.iterdir()] == ["journal.jsonl"]
    assert journal_reader.read_journal(tmp_path) == []


def test_what_the_command_at_hand_prints_is_shown_without_secrets(tmp_path: Path, journal: Journal) -> None:
    machine = Machine(tmp_path, secrets={"npm": "4711-token"})
    with Watcher((), journal) as watcher, Traffic(watcher, machine, journal, interval=0.05):
        for printed, line in (
            ("  #7 RUN bun run build", "#7 RUN bun run build"),
            ("\x1b[1mlogs in with 4711-token, API_KEY=abcdef", "logs in with •••, API_KEY=•••"),
        ):
            machine.printed = printed
            assert eventually(lambda line=line: shown(tmp_path).get("evidence", {}).get("line") == line)  # type: ignore[misc]
        assert event(shown(tmp_path)).kind == "traffic"
        machine.printed = ""
        assert eventually(lambda: "line" not in shown(tmp_path)["evidence"])


def test_where_nothing_can_be_shown_the_plan_goes_on(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / f".{SHOWN}").mkdir()
    journal.show("traffic", impact={})
    journal.write("start")
    journal.withdraw()
    assert [line["kind"] for line in journal_reader.read_journal(tmp_path)] == ["start"]


def test_what_a_killed_runner_still_shows_is_gone_once_its_plan_is_reverted(tmp_path: Path) -> None:
    world = World(tmp_path)
    plan = plan_of(world)
    folder = world.ship(plan)
    with contextlib.closing(Journal(folder / "journal.jsonl", "p1")) as killed:
        killed.write("start", None, name="test")
        killed.show("traffic", impact={}, held_ms=1)
    assert shown(folder)
    assert world.revert(plan)[0] == "reverted" and shown(folder) == {}


def test_who_follows_gets_each_of_the_figures_once_and_they_count_as_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    folder = world.ship(plan_of(world))
    emitted: list[dict[str, Any]] = []
    monkeypatch.setattr(main, "emit", emitted.append)

    def kinds() -> list[str]:
        return [str(line["kind"]) for line in emitted]

    def run() -> None:
        journal = Journal(folder / "journal.jsonl", "p1")
        journal.write("start", None, name="test")
        for count in (1, 2):
            journal.show("traffic", impact={}, held_ms=count)
            eventually(lambda count=count: kinds().count("traffic") == count)  # type: ignore[misc]
        journal.write("done", "a step")
        (folder / SHOWN).write_text("{")
        eventually(lambda: "done" in kinds())
        journal.write("finished", None, outcome="done")
        journal.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert main.follow(world.ops, ["p1"], None) == 0  # type: ignore[arg-type]
    thread.join()
    assert kinds() == ["start", "traffic", "traffic", "done", "finished"]
    emitted.clear()
    assert main.follow(world.ops, ["p1", "1"], None) == 0  # type: ignore[arg-type]
    assert kinds() == ["done", "finished"]
