"""Hooks: one before a plan may refuse it; one after it says what it says, and the plan ended as it did."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabfile.commands import locate
from fabfile.commands.apply import Operation
from fabfile.errors import CutoverError, Failed, HookRefused, LockHeld, Unreachable
from fabfile.plans.plan import Plan
from fabfile.record import RecordStore
from fabfile.runner.wire.events import Event
from tests.commands.test_session import DONE, build
from tests.support import inventories
from tests.support.events import begun, event, finished
from tests.support.fake_host import FakeHost

NOTE = 'env | grep ^ISLANDFLOW_ | sort >"$(dirname "$0")/$ISLANDFLOW_HOOK.env"'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of hooks beside an inventory of the test's own."""
    file = tmp_path / "mine" / "inventory.toml"
    file.parent.mkdir()
    file.write_text(inventories.toml(inventories.changed({"timeouts.hook": 5})))
    monkeypatch.setenv(locate.VARIABLE, str(file))
    made = file.parent / "hooks"
    made.mkdir()
    return made


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost.shipping(DONE, monkeypatch)


def hook(folder: Path, name: str, script: str = NOTE, mode: int = 0o755) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(mode)


def noted(folder: Path, name: str) -> dict[str, str]:
    """What a hook found in its environment."""
    lines = (folder / f"{name}.env").read_text().splitlines()
    return dict(line.partition("=")[::2] for line in lines)


def run(task: str = "cutover", **more: Any) -> None:
    Operation(object(), hooks=task, **more).apply(build)


def test_hooks_before_and_after_know_of_the_plan(folder: Path, host: FakeHost, records: Path) -> None:
    for name in ("pre-cutover", "post-cutover", "on-failure", "pre-rollback", "post-rollback"):
        hook(folder, name)
    run()
    assert sorted(path.name for path in folder.glob("*.env")) == ["post-cutover.env", "pre-cutover.env"]
    before, after = noted(folder, "pre-cutover"), noted(folder, "post-cutover")
    for values, outcome in ((before, ""), (after, "done")):
        assert values["ISLANDFLOW_TASK"] == "cutover" and values["ISLANDFLOW_HOST"] == "vps"
        assert values["ISLANDFLOW_OUTCOME"] == outcome and values["ISLANDFLOW_PLAN"]
        assert values["ISLANDFLOW_INVENTORY"] == str(folder.parent / "inventory.toml")
    assert before["ISLANDFLOW_PLAN"] == after["ISLANDFLOW_PLAN"] == host.shipped[0].id


def test_what_hooks_print_is_in_the_record(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class OfThePlan(FakeHost):
        """Its events are those of the plan that is shipped."""

        def ship(self, plan: Plan, *more: Any) -> Iterator[Event]:
            self.events["ship"] = [replace(each, plan=plan.id) for each in DONE]
            return super().ship(plan, *more)

    host = OfThePlan()
    host.stand_in(monkeypatch)
    hook(folder, "pre-cutover", "echo announced; echo TOKEN=abcdef >&2")
    hook(folder, "post-cutover", 'echo "see $ISLANDFLOW_RECORD"; exit 3')
    run()
    store = RecordStore.of(os.environ)
    (plan,) = store.plans()
    document = store.get(plan)
    assert document is not None and plan == host.shipped[0].id
    assert [(run.name, run.ok, run.ended, run.output) for run in document.hooks] == [
        ("pre-cutover", True, "ended with 0", ("announced", "TOKEN=•••")),
        ("post-cutover", False, "ended with 3", (f"see {store.page_of(plan)}",)),
    ]
    for ending in ("html", "md"):
        text = (store.folder / f"{plan}.{ending}").read_text()
        assert "Hooks" in text and "TOKEN=•••" in text and "ended with 3" in text


def test_one_before_that_fails_leaves_everything_untouched(folder: Path, host: FakeHost) -> None:
    hook(folder, "pre-cutover", "echo not on a Friday; exit 1")
    with pytest.raises(HookRefused, match="pre-cutover ended with 1\n    not on a Friday") as caught:
        run()
    assert caught.value.exit_code == 3 and host.shipped == []
    assert str(folder / "pre-cutover") in caught.value.next_step


@pytest.mark.parametrize(
    ("script", "mode", "said"),
    [
        ("exec sleep 600", 0o755, "took longer than 5 s and was killed"),
        (NOTE, 0o644, "is no executable \\(chmod"),
        (NOTE, 0o757, "may be written by everybody \\(chmod"),
    ],
)
def test_one_that_can_not_end_well_refuses_as_well(
    folder: Path, host: FakeHost, script: str, mode: int, said: str
) -> None:
    hook(folder, "pre-cutover", script, mode)
    began = time.monotonic()
    with pytest.raises(HookRefused, match=said):
        run()
    assert host.shipped == [] and time.monotonic() - began < 60


def test_one_whose_interpreter_is_missing_refuses(folder: Path, host: FakeHost) -> None:
    (folder / "pre-cutover").write_text("#!/nowhere/sh\n")
    (folder / "pre-cutover").chmod(0o755)
    with pytest.raises(HookRefused, match="could not be started"):
        run()
    (folder / "pre-cutover").unlink()
    (folder / "pre-cutover").symlink_to("/nowhere")
    with pytest.raises(HookRefused, match="can't be read"):
        run()


def test_one_after_that_fails_is_a_warning(folder: Path, host: FakeHost, capsys: pytest.CaptureFixture[str]) -> None:
    hook(folder, "post-cutover", "echo nobody listens; exit 9")
    run()
    said = " ".join(capsys.readouterr().err.split())
    assert "warning: hook post-cutover ended with 9 nobody listens; the plan ended as it did: done" in said


@pytest.mark.parametrize(
    ("events", "kind", "outcome"),
    [
        ([*DONE[:2], event("failed", "files", error="no"), finished("reverted", why="files: no")], Failed, "reverted"),
        (DONE[:2], Unreachable, "unknown"),
    ],
)
def test_a_failure_has_its_own(
    folder: Path, host: FakeHost, events: list[Any], kind: type[CutoverError], outcome: str
) -> None:
    host.events["ship"] = events
    for name in ("post-cutover", "on-failure"):
        hook(folder, name)
    with pytest.raises(kind):
        run()
    values = noted(folder, "on-failure")
    assert values["ISLANDFLOW_OUTCOME"] == outcome and values["ISLANDFLOW_ERROR"]
    assert not (folder / "post-cutover.env").exists()


def test_a_plan_that_did_not_begin_has_not_failed(folder: Path, host: FakeHost) -> None:
    host.events["ship"] = [begun(), finished("locked", holder={"who": "eve", "what": "x", "since": "now"})]
    hook(folder, "on-failure")
    with pytest.raises(LockHeld):
        run()
    assert not (folder / "on-failure.env").exists()


def test_other_tasks_and_dry_runs_have_none(folder: Path, host: FakeHost) -> None:
    for name in ("pre-cutover", "post-cutover", "pre-", "post-"):
        hook(folder, name)
    run("")
    run(dry=True)
    assert list(folder.glob("*.env")) == []


def test_with_json_hooks_print_nothing_on_standard_output(
    folder: Path, host: FakeHost, capsys: pytest.CaptureFixture[str]
) -> None:
    hook(folder, "pre-cutover", "echo hello")
    run(json=True)
    assert all(json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines())
