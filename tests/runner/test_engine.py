"""Plans run by the real engine: done, or everything as before, or stuck and telling where."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabfile.runner import store
from fabfile.runner.actions import proof
from fabfile.runner.actions.base import Action
from fabfile.runner.actions.before import Before
from fabfile.runner.actions.proof import CountData
from fabfile.runner.engine import read_decision
from fabfile.runner.system.machine import Evidence, Machine, Observation
from fabfile.runner.wire.app import Environment
from fabfile.runner.wire.codec import wire
from fabfile.runner.wire.data import DataRef
from fabfile.runner.wire.plan import NothingToUndo, Plan, Step, Undo
from tests.runner.support.bricks import PLACES, Holds
from tests.runner.support.commands import Await, Run
from tests.runner.support.killed import killed_writing
from tests.runner.support.redis_server import Redis
from tests.runner.support.servers import serving
from tests.runner.support.worlds import World, new_world, plan_of

KINDS = ("StepFailed", "OSError", "KeyError", "ValueError")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def again(plan: Plan) -> Plan:
    """The same plan, asked for once more."""
    return Plan(plan.name, plan.steps, id="p2", who="tester")


# ── Any plan, any fault ─────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_a_plan_with_any_fault_ends_done_reverted_or_stuck_at_the_step_it_names(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5), "steps")
    noop_reason = data.draw(st.sets(st.integers(0, count - 1)), "settled already")
    broken = data.draw(st.one_of(st.none(), st.integers(0, count - 1)), "breaks")
    place = data.draw(st.sampled_from(PLACES[:4]), "where")
    kind = data.draw(st.sampled_from(KINDS), "how")
    jammed = data.draw(st.one_of(st.none(), st.integers(0, count - 1)), "cannot be undone")
    jam = data.draw(st.sampled_from(PLACES[4:]), "where in the undo")
    with new_world() as world:
        for number in range(count):
            former = "new" if number in noop_reason else "old" if number % 2 else None
            if former:
                Path(world.path(f"s{number}")).write_text(former)
        before = world.state()
        faults = [(place,) * (number == broken) + (jam,) * (number == jammed) for number in range(count)]
        steps = [world.step(f"s{number}", *fault, kind=kind) for number, fault in enumerate(faults)]
        plan = plan_of(world, *steps)
        outcome, story = world.execute(plan)
        assert story.outcome == outcome

        fails = broken is not None and (broken not in noop_reason or place in ("look", "verify"))
        begun = [n for n in range(count) if n not in noop_reason]
        if fails:
            assert broken is not None
            begun = [n for n in begun if n < broken or (n == broken and place != "look")]
        if not fails:
            assert outcome == ("done" if begun else "nothing")
            assert world.state() == {f"s{n}": b"new" for n in range(count)}
        elif jammed in begun:
            assert outcome == "stuck"
            assert story.stuck_at == f"s{jammed}"
            assert story.begun == [f"s{n}" for n in begun if jammed is not None and n <= jammed]
            for name in story.undone:
                assert world.state().get(name) == before.get(name)
        else:
            assert outcome == "reverted"
            assert world.state() == before
            assert story.undone == [f"s{n}" for n in reversed(begun)]


def test_the_second_run_changes_nothing_and_says_why(world: World) -> None:
    plan = plan_of(world, world.step("a"), world.step("b"))
    assert world.execute(plan)[0] == "done"
    stamps = {p: p.stat().st_mtime_ns for p in world.files.iterdir()}
    outcome, story = world.execute(again(plan))
    assert (outcome, story.noop) == ("nothing", ["a", "b"])
    assert {p: p.stat().st_mtime_ns for p in world.files.iterdir()} == stamps
    assert not list(world.ops.rglob("reserve")), "space set aside is given back"


def test_a_noop_whose_result_is_not_good_takes_the_plan_back(world: World) -> None:
    Path(world.path("b")).write_text("new")
    outcome, story = world.execute(plan_of(world, world.step("a"), world.step("b", "verify")))
    assert (outcome, story.undone, story.noop) == ("reverted", ["a"], [])
    assert world.state() == {"b": b"new"}


def test_a_stuck_plan_leaves_the_earlier_steps_alone_and_resumes_once_the_cause_is_fixed(world: World) -> None:
    plan = plan_of(world, world.step("a"), world.step("b", "undo"), world.step("c", "after do"))
    outcome, story = world.execute(plan)
    assert (outcome, story.stuck_at, story.begun) == ("stuck", "b", ["a", "b"])
    assert world.state() == {"a": b"new", "b": b"new"}

    assert world.revert(plan)[0] == "stuck", "it is still broken"
    folder = store.plan_folder(world.ops, plan.id)
    (folder / "plan.json").write_text((folder / "plan.json").read_text().replace('["undo"]', "[]"))
    outcome, story = world.revert(plan)
    assert (outcome, story.begun, story.runs) == ("reverted", [], 3)
    assert world.events(plan)[-1]["evidence"]["why"] == "an undo of it had failed"
    assert world.state() == {}


def test_partial_files_of_a_killed_runner_in_the_backups_are_deleted(world: World) -> None:
    """As a mark of how far a change came: whether it was made or not, nobody looks at half of it."""
    plan = plan_of(world, world.step("a"), world.step("b", "undo"), world.step("c", "after do"))
    world.execute(plan)
    kept = store.plan_folder(world.ops, plan.id) / "backups/edge-1"
    kept.mkdir(parents=True)
    killed_writing(kept / "began")
    world.revert(plan)
    assert list(kept.iterdir()) == []


def test_how_long_was_waited_is_what_was_waited_not_what_might_have_been(world: World) -> None:
    lost = replace(world.step("a"), verify=(Holds(world.path("a"), "other", final=True),), deadline=600.0)
    outcome, _ = world.execute(plan_of(world, lost))
    why = world.events(plan_of(world, lost))[-1]["evidence"]["why"]
    said = re.fullmatch(r"not as wanted \(waited ([\d.]+) s\)", why)
    assert outcome == "reverted" and said and float(said[1]) < 300


def test_data_missing_after_an_undo_is_in_the_finished_event(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_READ_SECONDS", 0.0)
    server = Redis({0: (5, 0)})
    environment = Environment("native", "/nowhere/env", "/nowhere/overrides")
    with serving(server.talk) as port:
        ref = DataRef("redis", "native", port, "infra.redis.port", world.path("redis"), environment)
        count = Step("count", CountData((ref,), must=True, timeout=0.0), Undo())
        server.raw = lambda words: server.databases.clear() if server.asked.count(words) > 1 else None
        plan = plan_of(world, count, world.step("a", "verify"))
        assert world.execute(plan)[0] == "reverted"
    assert world.events(plan)[-1]["evidence"]["missing"] == ["redis: db0: 5 before, nothing now"]


def test_commands_and_their_undoing_commands(world: World) -> None:
    mark = world.path("mark")
    made = Step("make", Run(("touch", mark), back=("rm", mark)), Undo(verify=(Holds(mark, None),)))
    seen = Step("seen", Await(Holds(mark, ""), 1.0), NothingToUndo("waiting changes nothing"))
    assert world.execute(plan_of(world, made, seen))[0] == "done"
    Path(mark).unlink()
    failing = Plan("test", (made, seen, Step("no", Run(("false",)), NothingToUndo("nothing"))), id="p2")
    outcome, story = world.execute(failing)
    assert (outcome, story.undone) == ("reverted", ["no", "seen", "make"])
    assert world.state() == {}


def test_an_undo_that_fails_is_retried_until_its_deadline(world: World) -> None:
    """What made the plan fail may pass by itself: a daemon that restarts, a database that is locked."""
    tries = world.path("tries")
    third = ("sh", "-c", f"echo >>{tries}; [ $(wc -l <{tries}) = 3 ] || {{ echo not yet >&2; exit 1; }}")
    steps = Step("a", Run(("true",), back=third), Undo()), Step("no", Run(("false",)), NothingToUndo("nothing"))
    plan = plan_of(world, *steps)
    outcome, story = world.execute(plan)
    assert (outcome, story.undone) == ("reverted", ["no", "a"])
    (undone,) = [event for event in world.events(plan) if event["kind"] == "undone" and event["step"] == "a"]
    assert undone["evidence"]["tries"] == 3 and "not yet" in undone["evidence"]["at_first"]


def test_a_command_without_an_undo_leaves_the_plan_stuck(world: World) -> None:
    steps = Step("run", Run(("true",)), Undo(deadline=0.0)), Step("no", Run(("false",)), NothingToUndo("nothing"))
    outcome, story = world.execute(plan_of(world, *steps))
    assert (outcome, story.stuck_at) == ("stuck", "run")


# ── The operator's decision ─────────────────────────────────────────────────────────────────────────────────────────


def test_no_decision_before_the_deadline_reverts(world: World) -> None:
    plan = plan_of(world, world.step("a"), confirm=0.2)
    outcome, story = world.execute(plan)
    assert (outcome, story.undone) == ("reverted", ["a"])
    assert world.state() == {}
    assert "nobody confirmed" in world.events(plan)[-1]["evidence"]["why"]


@pytest.mark.parametrize(("decision", "outcome"), [("confirm", "done"), ("revert", "reverted")])
def test_a_waiting_plan_follows_the_operators_decision(world: World, decision: str, outcome: str) -> None:
    plan = plan_of(world, world.step("a"), confirm=30)

    def say() -> str:
        waiting = [event["kind"] for event in world.events(plan)][-1:] == ["waiting"]
        return decision if waiting else ""

    assert world.execute(plan, say)[0] == outcome
    assert bool(world.state()) == (outcome == "done")


def test_a_word_that_asks_to_revert_is_heard_between_steps(world: World) -> None:
    def say() -> str:
        return "revert" if Path(world.path("b")).exists() else ""

    outcome, story = world.execute(plan_of(world, *(world.step(name) for name in "abc")), say)
    assert (outcome, story.undone) == ("reverted", ["b", "a"])
    assert world.state() == {}


@wire
@dataclass(frozen=True)
class Waits(Action):
    """Waits for long: for a command that ends in order when it has to, for one that does not, or for a result."""

    how: str
    mark: str

    def apply(self, machine: Machine, before: Before) -> Evidence:
        Path(self.mark).touch()
        if self.how == "result":
            machine.until(lambda: Observation(False, "not yet"), 600)
        trap = "trap '' TERM" if self.how == "stubborn" else f"trap 'rm {self.mark}; exit 0' TERM"
        machine.run(["sh", "-c", f"{trap}; while :; do sleep 0.1; done"], timeout=600)
        return {}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        machine.run(["true"])  # nothing cuts off an undo
        return {}

    def describe(self) -> str:
        return "wait for long"


@pytest.mark.parametrize("how", ["orderly", "stubborn", "result"])
def test_a_revert_cuts_off_what_runs_and_undoes_it(world: World, how: str) -> None:
    mark = Path(world.path("w"))
    said: list[float] = []

    def say() -> str:
        if mark.exists() and not said:
            said.append(time.monotonic())
        return "revert" if said else ""

    plan = plan_of(world, world.step("a"), Step("w", Waits(how, str(mark)), Undo()), world.step("c"))
    outcome, story = world.execute(plan, say)
    assert time.monotonic() - said[0] < 60, "not after ten minutes"
    assert (outcome, story.undone, story.begun) == ("reverted", ["w", "a"], [])
    assert world.events(plan)[-1]["evidence"]["why"] == "the operator asked to revert"


def test_a_revert_stands_whoever_confirms(world: World) -> None:
    plan = plan_of(world, world.step("a"))
    folder = world.ship(plan)
    store.decide(world.ops, plan.id, "revert")
    store.decide(world.ops, plan.id, "confirm")
    assert read_decision(folder)() == "revert"


def test_nothing_to_do_asks_nobody_to_confirm(world: World) -> None:
    Path(world.path("a")).write_text("new")
    plan = plan_of(world, world.step("a"), confirm=30)
    assert world.execute(plan)[0] == "nothing"
    assert "waiting" not in [event["kind"] for event in world.events(plan)]


def test_the_word_comes_from_the_plans_folder(world: World) -> None:
    plan = plan_of(world, world.step("a"))
    folder = world.ship(plan)
    read = read_decision(folder)
    assert read() == ""
    store.decide(world.ops, plan.id, "confirm")
    assert read() == "confirm"
    (folder / "say").write_bytes(b"\xff\xfe")
    assert read() not in ("confirm", "revert")
    (folder / "say").unlink()
    (folder / "say").mkdir()
    assert read() == ""
    with pytest.raises(ValueError, match="neither confirm nor revert"):
        store.decide(world.ops, plan.id, "perhaps")
    with pytest.raises((OSError, ValueError), match="p9"):
        store.decide(world.ops, "p9", "confirm")


# ── The end ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_finished_event_has_health_even_where_it_cannot_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fabfile.runner import engine
    from fabfile.runner.wire.facts import Workload

    def broken(*_: Any) -> Any:
        raise ValueError("no JSON")

    monkeypatch.setattr(engine, "wait_until_settled", broken)
    plan = Plan("test", (world.step("a"),), workloads=(Workload("api", "native"),), id="p1")
    assert world.execute(plan)[0] == "done"
    assert "no JSON" in world.events(plan)[-1]["evidence"]["health"]["unknown"]


@pytest.mark.parametrize(("fault", "patient"), [((), False), (("after do",), True)], ids=["done", "reverted"])
def test_a_reverted_plan_waits_for_health_before_it_reports_it(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: tuple[str, ...], patient: bool
) -> None:
    from fabfile.runner import engine

    given: list[float] = []
    monkeypatch.setattr(engine, "wait_until_settled", lambda machine, workloads, seconds: given.append(seconds) or {})
    world.execute(Plan("test", (world.step("a"), world.step("b", *fault)), id="p1"))
    assert [seconds > 0 for seconds in given] == [patient]


def test_workloads_that_a_reverted_plan_left_unhealthy_are_reported_as_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fabfile.runner import engine
    from fabfile.runner.wire.facts import Health

    found = {
        f"native/{name}": Health(name, "native", name == "web", "healthy" if name == "web" else "x")
        for name in ("api", "web", "nats")
    }
    monkeypatch.setattr(engine, "wait_until_settled", lambda *_: found)
    plan = Plan("test", (world.step("a", "after do"),), well=("native/api", "native/web", "docker/api"), id="p1")
    assert world.execute(plan)[0] == "reverted"
    assert world.events(plan)[-1]["evidence"]["lost"] == ["native/api"]


def test_the_journal_tells_what_the_record_begins_with(world: World) -> None:
    plan = Plan("test", (world.step("a"),), id="p1", who="ana", versions={"native/redis": "8"}, warnings=("a second",))
    world.execute(plan)
    heading = world.events(plan)[0]["evidence"]
    assert (heading["who"], heading["versions"], heading["warnings"]) == ("ana", {"native/redis": "8"}, ["a second"])
    assert heading["host"]


# ── The hold ────────────────────────────────────────────────────────────────────────────────────────────────────────


def held_plan(world: World, *inside: Step, limit: float, rest: float = 0.0) -> Plan:
    """A plan in which requests wait while the inner steps run; `rest` is how long its last step takes (seconds)."""
    begins, ends = (replace(world.step(name), hold=name) for name in ("begins", "ends"))
    after = Step("after", Run(("sleep", str(rest))), NothingToUndo("sleeping changes nothing"))
    return Plan("test", (begins, *inside, ends, after), hold_limit=limit, id="p1", who="tester")


def test_a_hold_that_lasts_too_long_takes_the_plan_back_in_time(world: World) -> None:
    endless = Step("endless", Run(("sleep", "60")), NothingToUndo("sleeping changes nothing"))
    plan = held_plan(world, endless, limit=2)
    outcome, story = world.execute(plan)
    assert (outcome, story.undone) == ("reverted", ["endless", "begins"])
    assert world.state() == {}


def test_waiting_ends_with_the_hold_too(world: World) -> None:
    never = Step("never", Await(Holds(world.path("x"), "y"), 60.0), NothingToUndo("waiting changes nothing"))
    outcome, _ = world.execute(held_plan(world, never, limit=0.3))
    assert outcome == "reverted"


def test_after_the_hold_steps_have_their_own_deadlines_and_its_length_is_journaled(world: World) -> None:
    nap = Step("nap", Run(("sleep", "0.1")), NothingToUndo("sleeping changes nothing"))
    plan = held_plan(world, nap, limit=4, rest=5)
    assert world.execute(plan)[0] == "done", "the sleep behind the hold is longer than its limit"
    assert 100 <= world.events(plan)[-1]["evidence"]["held_ms"] < 4000


def test_the_way_back_is_not_hurried_by_the_hold(world: World) -> None:
    slow = Step("slow", Run(("true",), back=("sleep", "3")), Undo())
    endless = Step("endless", Run(("sleep", "60")), NothingToUndo("sleeping changes nothing"))
    outcome, story = world.execute(held_plan(world, slow, endless, limit=2))
    assert (outcome, story.undone) == ("reverted", ["endless", "slow", "begins"])
