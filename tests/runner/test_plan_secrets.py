"""A secret on its way from the connection to the plan's own process: read once, and then nowhere."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from fabfile.plans.plan import Plan
from fabfile.remote import bootstrap
from fabfile.runner import main, plan_secrets, recovery
from fabfile.runner.system.machine import CommandFailed
from fabfile.runner.wire.facts import Facts

SECRETS = {"npm": "a token that nobody may see"}


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where secrets wait."""
    monkeypatch.setattr(plan_secrets, "FOLDER", tmp_path / "run")
    return tmp_path / "run"


def test_a_secret_is_for_roots_eyes_and_gone_once_read(memory: Path) -> None:
    plan_secrets.store("p1", SECRETS)
    assert memory.stat().st_mode & 0o777 == 0o700
    assert (memory / "p1").stat().st_mode & 0o777 == 0o600
    assert plan_secrets.pop("p1") == SECRETS
    assert list(memory.iterdir()) == [] and plan_secrets.pop("p1") == {}


def test_a_plan_without_secrets_leaves_no_trace(memory: Path) -> None:
    plan_secrets.store("p1", {})
    assert not memory.exists() and plan_secrets.pop("p1") == {}
    plan_secrets.discard("p1")


def test_an_existing_secret_file_is_not_overwritten(memory: Path) -> None:
    plan_secrets.store("p1", SECRETS)
    with pytest.raises(FileExistsError):
        plan_secrets.store("p1", {"npm": "another"})


@pytest.mark.parametrize("starts", [True, False])
def test_a_shipped_secret_reaches_the_plans_process_and_nothing_that_stays(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, starts: bool, root: None
) -> None:
    read = []

    def detach(folder: Path, runner: Path, verb: str, plan_id: str) -> None:
        if not starts:
            raise CommandFailed("systemd-run could not be started")
        read.append((memory / plan_id).read_text())

    monkeypatch.setattr(main, "_detach", detach)
    monkeypatch.setattr(recovery, "install", lambda *args: None)
    monkeypatch.setattr(main, "_MAX_START_SECONDS", 0.0)
    (tmp_path / "zipapp").write_bytes(bootstrap.zipapp())
    monkeypatch.setattr("sys.path", [str(tmp_path / "zipapp")])
    payload = bootstrap.shipment(Plan("x", (), id="p1"), Facts(), SECRETS)
    main.main(["ship"], io.BytesIO(payload), tmp_path / "islandflow/ops")
    assert [json.loads(text) for text in read] == ([SECRETS] if starts else [])
    assert list(memory.iterdir()) == []
    left = b"".join(path.read_bytes() for path in (tmp_path / "islandflow").rglob("*") if path.is_file())
    assert SECRETS["npm"].encode() not in left
