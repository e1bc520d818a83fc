"""A secret on its way from the connection to the plan's own process: read once, and then nowhere."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from fabfile import shipment
from fabfile.plan import Plan
from fabfile.runner import main as verbs
from fabfile.runner import recovery, secret
from fabfile.runner.facts import Facts
from fabfile.runner.machine import CommandFailed

SECRETS = {"npm": "a token that nobody may see"}


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where secrets wait."""
    monkeypatch.setattr(secret, "FOLDER", tmp_path / "run")
    return tmp_path / "run"


def test_a_secret_is_for_roots_eyes_and_gone_once_read(memory: Path) -> None:
    secret.leave("p1", SECRETS)
    assert memory.stat().st_mode & 0o777 == 0o700
    assert (memory / "p1").stat().st_mode & 0o777 == 0o600
    assert secret.take("p1") == SECRETS
    assert list(memory.iterdir()) == [] and secret.take("p1") == {}


def test_a_plan_without_secrets_leaves_no_trace(memory: Path) -> None:
    secret.leave("p1", {})
    assert not memory.exists() and secret.take("p1") == {}
    secret.discard("p1")


def test_what_lies_there_already_is_not_written_over(memory: Path) -> None:
    secret.leave("p1", SECRETS)
    with pytest.raises(FileExistsError):
        secret.leave("p1", {"npm": "another"})


@pytest.mark.parametrize("starts", [True, False])
def test_a_shipped_secret_reaches_the_plans_process_and_nothing_that_stays(
    tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, starts: bool, root: None
) -> None:
    read = []

    def detach(folder: Path, runner: Path, verb: str, plan_id: str) -> None:
        if not starts:
            raise CommandFailed("systemd-run could not be started")
        read.append((memory / plan_id).read_text())

    monkeypatch.setattr(verbs, "_detach", detach)
    monkeypatch.setattr(recovery, "install", lambda *args: None)
    monkeypatch.setattr(verbs, "_STARTING", 0.0)
    (tmp_path / "zipapp").write_bytes(shipment.zipapp())
    monkeypatch.setattr("sys.path", [str(tmp_path / "zipapp")])
    payload = shipment.shipment(Plan("x", (), id="p1"), Facts(), SECRETS)
    verbs.main(["ship"], io.BytesIO(payload), tmp_path / "islandflow/ops")
    assert [json.loads(text) for text in read] == ([SECRETS] if starts else [])
    assert list(memory.iterdir()) == []
    left = b"".join(path.read_bytes() for path in (tmp_path / "islandflow").rglob("*") if path.is_file())
    assert SECRETS["npm"].encode() not in left
