"""The runner's verbs in processes of their own, from the real zipapp, killed wherever it hurts."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fabfile.remote import bootstrap
from fabfile.runner import journal_reader, main, recovery, store
from fabfile.runner.actions.files import File, Files
from fabfile.runner.actions.probes import PortsFree
from fabfile.runner.journal import as_of_now
from fabfile.runner.system.machine import Machine
from fabfile.runner.wire.plan import NothingToUndo, Plan, Step, Undo
from fabfile.runner.wire.store import LockHolder
from tests.runner.support import commands
from tests.runner.support.commands import Await, Run
from tests.runner.support.worlds import World
from tests.support.journal_rules import Story, told

_VERB = """
import os, signal, sys
from pathlib import Path
zipapp, root, after, *argv = sys.argv[1:]
sys.path.insert(0, zipapp)
from runner import journal
import commands
from runner.main import main
append, count = journal.Journal._append, 0
def counted(self, line):
    global count
    append(self, line)
    count += 1
    if count == int(after):
        os.kill(os.getpid(), signal.SIGKILL)
journal.Journal._append = counted
sys.exit(main(argv, sys.stdin.buffer, Path(root)))
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    zipapp = tmp_path / "runner.pyz"
    zipapp.write_bytes(bootstrap.zipapp())
    with zipfile.ZipFile(zipapp, "a") as archive:
        archive.writestr("commands.py", Path(commands.__file__).read_text().replace("fabfile.runner", "runner"))
    return made


def verb(world: World, *argv: str, after: int = 0) -> subprocess.Popen[str]:
    """Start a verb from the zipapp; it kills itself once it has written `after` events."""
    words = [sys.executable, "-I", "-c", _VERB, str(world.root / "runner.pyz"), str(world.ops), str(after), *argv]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def ran(world: World, *argv: str, after: int = 0) -> int:
    """Run a verb to its end, whatever that is; returns its code."""
    process = verb(world, *argv, after=after)
    process.communicate(timeout=60)
    return process.returncode


def file(world: World, name: str, content: bytes) -> File:
    """A file to be written, its contents shipped."""
    sha256 = hashlib.sha256(content).hexdigest()
    (world.ops / "files" / sha256).write_bytes(content)
    return File(world.path(name), sha256, 0o640, "root", "root", content)


def plan_of(world: World, confirm: float = 0.0) -> Plan:
    """Files over others and where none were, a command with its undo, and a wait."""
    Path(world.path("old")).write_text("what was there")
    os.chmod(world.path("old"), 0o604)
    mark = world.path("mark")
    steps = (
        Step("files", Files((file(world, "old", b"new"), file(world, "deep/er/new", b"other"))), Undo()),
        Step("mark", Run(("touch", mark), back=("rm", "-f", mark)), Undo()),
        Step("wait", Await(PortsFree((1,)), 5), NothingToUndo("waiting changes nothing")),
        Step("again", Files((file(world, "old", b"newer"),)), Undo()),
    )
    return Plan("test", steps, confirm_within=confirm, id="p1", who="tester")


def state(world: World) -> dict[str, Any]:
    """Every file and folder with its mode and contents."""
    return {
        str(path.relative_to(world.files)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(world.files.rglob("*"))
    }


def story(world: World, plan: Plan) -> Story:
    return told(world.events(plan), [step.name for step in plan.steps])


def test_a_plan_by_the_real_zipapp_and_once_more(world: World, root: None) -> None:
    plan = plan_of(world)
    world.ship(plan)
    assert ran(world, "execute", "p1") == 0
    assert story(world, plan).done == ["files", "mark", "wait", "again"]
    assert Path(world.path("old")).read_text() == "newer"
    assert Path(world.path("deep/er/new")).stat().st_mode & 0o777 == 0o640
    before = state(world)
    assert ran(world, "execute", "p1") == 1, "a plan is carried out once"
    assert ran(world, "revert_run", "p1") == 1, "one that has ended well is never reverted"
    assert state(world) == before
    assert story(world, plan).runs == 1


EVENTS = 1 + 2 * 4  # the plan's start, and each step's start and done


@pytest.mark.parametrize("after", range(1, EVENTS + 1))
def test_a_plan_killed_after_any_event_is_reverted_completely(world: World, after: int, root: None) -> None:
    plan = plan_of(world)
    before = state(world)
    world.ship(plan)
    assert ran(world, "execute", "p1", after=after) == -signal.SIGKILL
    assert len(world.events(plan)) == after
    assert store.lock_holder(world.ops) is None
    assert list(store.read_state(world.ops).unfinished) == store.interrupted_plans(world.ops) == ["p1"]

    assert ran(world, "revert_run", "p1", after=2 + after % 3) in (0, -signal.SIGKILL), "killed on the way back as well"
    if store.interrupted_plans(world.ops):
        assert ran(world, "revert_run", "p1") == 0
    assert state(world) == before
    assert story(world, plan).outcome == "reverted"
    assert ran(world, "revert_run", "p1") == 1
    assert story(world, plan).outcome == "reverted"


def test_a_plan_killed_within_a_step_is_reverted(world: World, root: None) -> None:
    chance = random.Random(4)
    plan = plan_of(world, confirm=0.2)
    before = state(world)
    for number in range(5):
        one = replace(plan, id=f"p{number}")
        world.ship(one)
        process = verb(world, "execute", one.id)
        time.sleep(0.1 + chance.random() * 0.5)
        process.kill()
        process.communicate()
        if one.id in store.interrupted_plans(world.ops):
            assert ran(world, "revert_run", one.id) == 0
            assert story(world, one).outcome == "reverted"
        assert state(world) == before


@pytest.mark.parametrize(("decision", "outcome"), [("confirm", "done"), ("revert", "reverted")])
def test_a_decision_reaches_the_runner_from_another_process(
    world: World, decision: str, outcome: str, root: None
) -> None:
    plan = plan_of(world, confirm=30)
    world.ship(plan)
    process = verb(world, "execute", "p1")
    while "waiting" not in [event["kind"] for event in world.events(plan)]:
        assert process.poll() is None
        time.sleep(0.02)
    assert ran(world, "revert_run", "p1") == 1, "it is under way and has the lock"
    assert ran(world, "decide", "p1", "maybe") == 1
    assert ran(world, "decide", "p1", decision) == 0
    process.communicate(timeout=60)
    assert story(world, plan).outcome == outcome


@pytest.mark.parametrize(
    ("after", "decided"),
    [((), False), (("outage",), False), (("finished",), True), (("outage", "undo", "finished"), True)],
)
def test_a_plan_that_is_followed_says_whether_it_still_waits_for_a_decision(
    world: World, after: tuple[str, ...], decided: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store.plan_folder(world.ops, "p1")
    folder.mkdir()
    kinds = ("start", "waiting", *after, *(() if "finished" in after else ("waiting", "finished")))
    journal = [{"kind": kind, "step": None, "ms": 0, "evidence": {"outcome": "done"}} for kind in kinds]
    waiting: dict[str, Any] = as_of_now(journal[: len(after) + 2])[1]
    assert waiting["evidence"].get("decided", False) == decided
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in journal))
    assert main.main(["follow", "p1"], io.BytesIO(), world.ops) == 0
    assert lines(capsys)[1]["evidence"]["decided"], "all of it is past"


@pytest.mark.parametrize(("age", "left"), [(0, 120), (50, 70), (500, 0), (-500, 120)])
def test_whoever_follows_later_is_told_what_is_left_to_decide(age: float, left: float) -> None:
    begun = datetime.datetime.fromtimestamp(time.time() - age, datetime.UTC)
    event: dict[str, Any] = {
        "kind": "waiting",
        "time": begun.isoformat(timespec="milliseconds"),
        "evidence": {"seconds": 120.0},
    }
    waiting: dict[str, Any] = as_of_now([event])[0]
    assert waiting["evidence"]["left"] == pytest.approx(left, abs=30)
    damages: list[dict[str, object]] = [{"time": "noon"}, {"time": None}, {"evidence": {}}]
    for damage in damages:
        assert as_of_now([{**event, **damage}]) == [{**event, **damage}]


def test_a_plan_that_cannot_be_reverted_after_a_boot_keeps_no_other_from_it(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reverted: list[str] = []

    def revert_run(root: Path, words: list[str], stdin: Any) -> int:
        if words == ["bad"]:
            raise ValueError("unknown type 'Tomorrow'")
        return reverted.append(words[0]) or 0

    monkeypatch.setattr(recovery, "await_boot", lambda machine: None)
    monkeypatch.setattr(store, "interrupted_plans", lambda root: ["bad", "good"])
    monkeypatch.setattr(main, "revert_run", revert_run)
    assert main.main(["recover"], io.BytesIO(), world.ops) == 1
    assert reverted == ["good"] and "bad: unknown type" in lines(capsys)[-1]["error"]


def test_a_plan_that_does_not_get_the_lock_ends_locked_and_changes_nothing(world: World, root: None) -> None:
    plan = plan_of(world)
    before = state(world)
    world.ship(plan)
    with store.lock(world.ops, LockHolder("ann", "cutover", "now")):
        assert ran(world, "execute", "p1") == 0
        assert state(world) == before
        last = world.events(plan)[-1]
        assert last["evidence"] == {
            "outcome": "locked",
            "holder": {"who": "ann", "what": "cutover", "since": "now"},
        }
    assert store.read_state(world.ops).unfinished == ()
    assert ran(world, "revert_run", "p1") == 1


def test_a_stuck_plan_stays_unfinished_when_another_holds_the_lock(world: World, root: None) -> None:
    """Its journal must not end `locked`: there still is something to undo."""
    plan = plan_of(world)
    world.ship(plan)
    ran(world, "execute", "p1", after=4)
    with store.lock(world.ops, LockHolder("ann")):
        assert ran(world, "revert_run", "p1") == 1
    assert store.read_state(world.ops).unfinished == ("p1",)
    assert [event["kind"] for event in world.events(plan)].count("finished") == 0


def test_a_plan_that_ends_just_before_its_revert_stays_done(
    world: World, monkeypatch: pytest.MonkeyPatch, root: None
) -> None:
    """Its journal is read with the lock held, not before."""
    plan = plan_of(world)
    world.ship(plan)
    locked = store.lock

    def late(*args: Any) -> Any:
        monkeypatch.setattr(store, "lock", locked)
        assert main.main(["execute", "p1"], io.BytesIO(), world.ops) == 0  # ends just before we get the lock
        return locked(*args)

    monkeypatch.setattr(store, "lock", late)
    assert main.main(["revert_run", "p1"], io.BytesIO(), world.ops) == 1
    assert story(world, plan).outcome == "done"


# ── Following ───────────────────────────────────────────────────────────────────────────────────────────────────────


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was printed, without the lines that only show that the connection is good."""
    return [line for line in every_line(capsys) if "alive" not in line]


def every_line(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_following_tells_every_event_once_as_they_come(
    world: World, capsys: pytest.CaptureFixture[str], root: None
) -> None:
    plan = plan_of(world)
    world.ship(plan)
    execution = threading.Thread(target=ran, args=(world, "execute", "p1"))
    execution.start()
    assert main.main(["follow", "p1"], io.BytesIO(), world.ops) == 0
    execution.join()
    assert lines(capsys) == world.events(plan)
    assert main.main(["follow", "p1", "4"], io.BytesIO(), world.ops) == 0
    assert lines(capsys) == world.events(plan)[4:]


def test_following_shows_that_it_is_alive_while_a_step_takes_long(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, root: None
) -> None:
    """As the build of a release does: silence would be taken for a lost connection."""
    monkeypatch.setattr(main, "ALIVE_SECONDS", 0.1)
    plan = plan_of(world)
    world.ship(plan)
    with store.lock(world.ops, LockHolder("somebody", "deploy", "now", plan="p1")):
        following = threading.Thread(target=main.main, args=(["follow", "p1"], io.BytesIO(), world.ops))
        following.start()
        time.sleep(1.0)
    ran(world, "execute", "p1")
    following.join()
    printed = every_line(capsys)
    assert printed[:3] == [{"alive": True}] * 3
    assert [line for line in printed if "alive" not in line] == world.events(plan)


def test_following_again_after_the_last_event_ends_at_once(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, root: None
) -> None:
    """A connection may be lost between the last line and the exit code."""
    monkeypatch.setattr(main, "_MAX_QUIET_SECONDS", 60.0)
    plan = plan_of(world)
    world.ship(plan)
    ran(world, "execute", "p1")
    started = time.monotonic()
    assert main.main(["follow", "p1", str(len(world.events(plan)))], io.BytesIO(), world.ops) == 0
    assert time.monotonic() - started < 30
    assert lines(capsys) == []


def test_following_a_runner_that_was_killed_says_so(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, root: None
) -> None:
    monkeypatch.setattr(main, "_MAX_QUIET_SECONDS", 0.3)
    plan = plan_of(world)
    world.ship(plan)
    ran(world, "execute", "p1", after=4)
    assert main.main(["follow", "p1"], io.BytesIO(), world.ops) == 1
    assert "the runner is gone" in lines(capsys)[-1]["error"]


def test_following_goes_on_while_the_vps_is_about_to_take_the_plan_back_by_itself(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, root: None
) -> None:
    """After a reboot that takes longer than a runner may be quiet."""
    monkeypatch.setattr(main, "_MAX_QUIET_SECONDS", 0.1)
    plan = plan_of(world)
    world.ship(plan)
    ran(world, "execute", "p1", after=4)
    looks: list[bool] = []

    def under_way(machine: Machine) -> bool:
        looks.append(True)
        if len(looks) == 3:
            ran(world, "revert_run", "p1")
        return True

    monkeypatch.setattr(recovery, "under_way", under_way)
    assert main.main(["follow", "p1"], io.BytesIO(), world.ops) == 0
    assert lines(capsys)[-1]["evidence"]["outcome"] == "reverted"


def test_a_large_journal_is_read_but_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    monkeypatch.setattr(
        journal_reader, "shape", SimpleNamespace(parse=lambda line: read.append(line) or json.loads(line))
    )
    plan = plan_of(world)
    path = world.ship(plan) / "journal.jsonl"
    line = json.dumps({"kind": "outage", "evidence": {"x": "x" * 200}}) + "\n"
    path.write_text(line * 20_000)
    reader = journal_reader.Reader(path.parent)
    assert len(reader.new_events()) == 20_000
    with path.open("a") as file:
        for _ in range(200):
            file.write(line[:100])
            file.flush()
            assert reader.new_events() == []
            file.write(line[100:])
            file.flush()
            assert len(reader.new_events()) == 1
    assert len(read) == 20_200


def test_revert_follows_past_a_former_end(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, root: None
) -> None:
    plan = plan_of(world)
    world.ship(replace(plan, steps=(*plan.steps, Step("no", Run(("false",)), Undo(deadline=0.0)))))
    ran(world, "execute", "p1")
    assert journal_reader.outcome(world.events(plan)) == "stuck"
    before = len(world.events(plan))
    (world.ops / f"runner-{'0' * 64}.pyz").write_bytes(b"")
    threads: list[threading.Thread] = []

    def detach(root: Path, runner: Path, verb: str, plan_id: str) -> None:
        def later() -> None:
            time.sleep(0.3)
            ran(world, verb, plan_id)

        threads.append(threading.Thread(target=later))
        threads[0].start()

    monkeypatch.setattr(main, "_detach", detach)
    assert main.main(["revert", "p1"], io.BytesIO(), world.ops) == 0
    threads[0].join()
    assert lines(capsys) == world.events(plan)[before:]
    assert world.events(plan)[-1]["kind"] == "finished"


@pytest.mark.parametrize(
    "words", [["revert", "p1"], ["revert", "p9"], ["revert_run", "../p1"], ["dance"], [], ["follow"]]
)
def test_an_error_of_a_verb_is_one_line_and_code_1(
    world: World, words: list[str], capsys: pytest.CaptureFixture[str], root: None
) -> None:
    plan = plan_of(world)
    world.ship(plan)
    ran(world, "execute", "p1")
    assert main.main(words, io.BytesIO(), world.ops) == 1
    (line,) = lines(capsys)
    assert line["error"]
