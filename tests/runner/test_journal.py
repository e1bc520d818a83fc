"""The journal: what happens when it cannot be written, and how it is read again after a crash."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fabfile.runner import journal_reader, store
from fabfile.runner.journal import Journal, JournalFailed
from fabfile.runner.system.machine import StepFailed
from fabfile.runner.wire.plan import NothingToUndo, Plan, Step, Undo
from tests.runner.support.commands import Run
from tests.runner.support.worlds import World, new_world, plan_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# ── A journal that cannot be written ────────────────────────────────────────────────────────────────────────────────


class Disk:
    """Lets fsync fail from a number on, once or for good."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.fails: Iterator[int] | range = range(0)
        self._sync = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, handle: int) -> None:
        self.calls += 1
        if self.calls in self.fails:
            raise OSError(errno.EIO, "Input/output error")
        self._sync(handle)


@settings(max_examples=60, deadline=None)
@given(first=st.integers(1, 14), lasting=st.booleans(), fault=st.sampled_from(("", "after do")))
@example(first=1, lasting=True, fault="")
@example(first=8, lasting=False, fault="")
def test_a_failing_journal_leaves_nothing_half_done(first: int, lasting: bool, fault: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch, new_world() as world:
        Path(world.path("b")).write_text("old")
        before = world.state()
        plan = plan_of(world, world.step("a"), world.step("b"), world.step("c", fault), confirm=0.3)
        after = {**before, **dict.fromkeys("abc", b"new")}
        disk = Disk(monkeypatch)
        disk.fails = range(first, 10_000 if lasting else first + 1)
        try:
            outcome, _ = world.execute(plan, lambda: "confirm")
        except JournalFailed:
            outcome = ""
        disk.fails = range(0)
        story = world.story(plan)
        assert story.outcome == outcome
        if outcome == "done":
            assert disk.calls < first, "an event is missing, and yet all is done"
        # Where only the last line is missing all is done, and cannot say so: that plan is for a revert.
        unsaid = not outcome and disk.calls == first and story.done == ["a", "b", "c"]
        assert world.state() == (after if outcome == "done" or unsaid else before)
        if not outcome and story.runs:
            assert world.revert(plan)[0] == "reverted"
            assert world.state() == before


def test_a_step_is_never_done_without_its_start_in_the_journal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    plan = plan_of(world, world.step("a"), world.step("b"))
    disk.fails = range(4, 5)  # plan, start a, done a, start b
    outcome, story = world.execute(plan)
    assert (outcome, story.done, story.undone) == ("reverted", ["a"], ["a"])
    failed = [event for event in world.events(plan) if event["kind"] == "failed"]
    assert failed[0]["step"] == "b"
    assert "journal" in failed[0]["evidence"]["error"]


def test_a_plan_on_a_full_disk_is_reverted_and_journaled_with_the_reserve(small_disk: Path) -> None:
    world = World(small_disk)
    filler = small_disk / "filler"

    def steps() -> Iterator[Step]:
        yield world.step("a")
        fill = f"dd if=/dev/zero of={filler} bs=4096 2>/dev/null; true"
        yield Step("fill", Run(("sh", "-c", fill), back=("true",)), Undo())
        for number in range(200):  # each start and done is some 400 bytes of journal
            yield Step(f"wait {number}", Run(("true",)), NothingToUndo("nothing changes"))

    plan = plan_of(world, *steps())
    outcome, story = world.execute(plan)
    assert filler.stat().st_size > 1 << 20
    assert (outcome, story.begun) == ("reverted", [])
    assert world.state() == {}
    assert "No space left" in world.events(plan)[-1]["evidence"]["why"]


def test_on_a_disk_that_is_full_already_nothing_is_begun(small_disk: Path) -> None:
    world = World(small_disk)
    (small_disk / "filler").write_bytes(bytes(small_disk_free(small_disk) - 256 * 1024))
    plan = plan_of(world, world.step("a"))
    with pytest.raises(JournalFailed, match="no space"):
        world.execute(plan)
    assert world.state() == {}
    assert store.read_state(world.ops).unfinished == (), "a plan that never began needs no hands"


def small_disk_free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


# ── Reading it again ────────────────────────────────────────────────────────────────────────────────────────────────


def cut_off(world: World, plan: Plan, keep: int, rest: bytes = b"") -> None:
    """Leave the first `keep` events of a journal and some bytes of the next."""
    path = store.plan_folder(world.ops, plan.id) / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:keep]) + rest)


@pytest.mark.parametrize("rest", [b"", b'{"version": 1, "ti', b"\0\0\0\0", b"\xff\xfe{"])
def test_revert_reads_a_journal_with_a_cut_off_line(world: World, rest: bytes) -> None:
    Path(world.path("b")).write_text("old")
    before = world.state()
    plan = plan_of(world, world.step("a"), world.step("b"), world.step("c"))
    assert world.execute(plan)[0] == "done"
    cut_off(world, plan, 5, rest)  # plan, a, a, b, b
    Path(world.path("c")).unlink()
    outcome, story = world.revert(plan)
    assert (outcome, story.undone, story.runs) == ("reverted", ["b", "a"], 2)
    assert world.state() == before
    lines = (store.plan_folder(world.ops, plan.id) / "journal.jsonl").read_bytes().splitlines()
    assert all(json.loads(line) for line in lines[-6:]), "nothing was glued to the cut-off line"


def test_revert_of_an_interrupted_undo_goes_on_where_it_was(world: World) -> None:
    plan = plan_of(world, world.step("a"), world.step("b"), world.step("c", "before do"))
    assert world.execute(plan)[0] == "reverted"
    names = [(event["kind"], event["step"]) for event in world.events(plan)]
    cut_off(world, plan, names.index(("undo", "a")) + 1)
    outcome, story = world.revert(plan)
    assert (outcome, story.undone) == ("reverted", ["c", "b", "a"])


def test_evidence_may_hold_anything(world: World) -> None:
    failure = StepFailed("no", event=1, step=2, error=b"bytes", evidence=Path("/x"))
    assert failure.evidence["error"] == "no", "evidence never hides the error"
    journal = Journal(world.ops / "journal.jsonl", "p")
    journal.write("failed", "a", **failure.evidence, self=object(), name="\udcff")
    (event,) = journal_reader.read_journal(world.ops)
    assert event["evidence"]["evidence"] == "/x"
    assert (event["kind"], event["step"]) == ("failed", "a")


def test_a_partly_written_line_is_truncated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(world.ops / "journal.jsonl", "p")
    journal.write("start")
    write = os.write

    def filling_up(handle: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[:20])

    monkeypatch.setattr(os, "write", filling_up)
    with pytest.raises(JournalFailed, match="No space left"):
        journal.write("done", "a")
    monkeypatch.undo()
    journal.write("failed", "a")
    assert [event["kind"] for event in journal_reader.read_journal(world.ops)] == ["start", "failed"]
