"""What arrives on the VPS is what was sent, or nothing is believed of it."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from fabfile.remote import bootstrap
from fabfile.runner import main, recovery, store
from fabfile.runner.actions.files import File, Files
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.plan import Plan, Step, Undo


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def vps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the runner, in which nothing is started: systemd is not here."""
    monkeypatch.setattr(main, "_detach", lambda root, runner, verb, plan_id: None)
    monkeypatch.setattr(recovery, "install", lambda *args: None)
    monkeypatch.setattr(main, "_MAX_START_SECONDS", 0.0)
    (tmp_path / "zipapp").write_bytes(bootstrap.zipapp())
    monkeypatch.setattr(sys, "path", [str(tmp_path / "zipapp"), *sys.path])
    return tmp_path / "islandflow" / "ops"


def shipped(vps: Path, payload: bytes) -> int:
    return main.main(["ship"], io.BytesIO(payload), vps)


def a_plan(*contents: bytes) -> Plan:
    files = tuple(File(f"/x/{n}", hashlib.sha256(c).hexdigest(), content=c) for n, c in enumerate(contents))
    return Plan("test", (Step("files", Files(files), Undo()),), id="p1")


def test_shipped_files_are_readable_by_root_only(vps: Path, root: None) -> None:
    shipped(vps, bootstrap.shipment(a_plan(b"one", b"", bytes(range(256))), Facts()))
    assert sorted(path.read_bytes() for path in (vps / "files").iterdir()) == sorted([b"one", b"", bytes(range(256))])
    assert (vps / bootstrap.runner_name()).read_bytes() == bootstrap.zipapp()
    assert json.loads((vps / "plans/p1/plan.json").read_text())["name"] == "test"
    for path in vps.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("damage", [lambda raw: raw[:-3], lambda raw: raw[:-1] + b"?", lambda raw: b"{" + raw])
def test_a_damaged_shipment_is_refused_and_leaves_nothing_that_counts_as_shipped(
    vps: Path, damage: Any, capsys: pytest.CaptureFixture[str], root: None
) -> None:
    payload = bootstrap.shipment(a_plan(b"contents of a file"), Facts())
    assert shipped(vps, damage(payload)) == 1
    assert "error" in lines(capsys)[-1]
    assert list((vps / "files").glob("*")) == []
    assert list((vps / "plans").glob("*")) == []


def test_a_runner_that_is_not_what_its_name_says_is_refused(
    vps: Path, capsys: pytest.CaptureFixture[str], root: None
) -> None:
    Path(sys.path[0]).write_bytes(bootstrap.zipapp()[:-1])
    assert shipped(vps, bootstrap.shipment(a_plan(), Facts())) == 1
    assert "damaged" in lines(capsys)[-1]["error"]
    assert list(vps.glob("runner-*")) == []


def test_a_damaged_runner_on_the_vps_is_replaced_before_a_plan_starts_with_it(vps: Path, root: None) -> None:
    store.prepare(vps)
    (vps / bootstrap.runner_name()).write_bytes(bootstrap.zipapp()[:-1])
    shipped(vps, bootstrap.shipment(a_plan(), Facts()))
    assert (vps / bootstrap.runner_name()).read_bytes() == bootstrap.zipapp()


def test_the_same_plan_cannot_be_shipped_twice(vps: Path, root: None) -> None:
    payload = bootstrap.shipment(a_plan(b"x"), Facts())
    shipped(vps, payload)
    kept = (vps / "plans/p1/plan.json").stat().st_mtime_ns
    assert shipped(vps, payload) == 1
    assert (vps / "plans/p1/plan.json").stat().st_mtime_ns == kept


def test_a_plan_that_was_shipped_and_never_begun_needs_no_hands(vps: Path, root: None) -> None:
    shipped(vps, bootstrap.shipment(a_plan(b"x"), Facts()))
    found = store.read_state(vps)
    assert found.unfinished == ()
    assert found.files == (hashlib.sha256(b"x").hexdigest(),)
    assert found.runners == (bootstrap.runner_name(),)
