"""Files, folders and accounts: written, and put back as they were."""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.actions.base import Action
from fabfile.runner.actions.files import Accounts, File, Files, Folder, Folders
from fabfile.runner.system.files import put
from fabfile.runner.system.machine import CommandFailed, Machine, StepFailed
from fabfile.runner.system.paths import file_fact
from fabfile.runner.wire.codec import decode, encode
from fabfile.runner.wire.facts import Facts
from tests.runner.support.killed import killed_writing
from tests.runner.support.recorder import Recorder

pytestmark = pytest.mark.usefixtures("root")
OWNER = pwd.getpwnam("nobody").pw_name
GROUP = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name


@pytest.fixture
def machine(tmp_path: Path) -> Recorder:
    made = Recorder(tmp_path / "ops")
    (tmp_path / "ops/files").mkdir(parents=True)
    made.backups.mkdir()
    return made


def shipped(machine: Machine, path: Path, content: bytes = b"new", mode: int = 0o640, owner: str = OWNER) -> File:
    sha256 = hashlib.sha256(content).hexdigest()
    (machine.ops / "files" / sha256).write_bytes(content)
    return File(str(path), sha256, mode, owner, GROUP if owner == OWNER else "root", content)


def begin(machine: Machine, action: Action) -> dict[str, Any]:
    """Look as the engine does; returns what is journaled, through its JSON."""
    look = decode_action(action).inspect(machine)
    assert not look.noop_reason
    before: dict[str, Any] = json.loads(json.dumps(look.before))
    return before


def decode_action(action: Action) -> Action:
    found: Action = decode(json.loads(json.dumps(encode(action))))
    return found


def snapshot(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Every entry with mode, owner, group and contents."""
    return {
        str(path.relative_to(folder)): (
            (found := path.lstat()).st_mode,
            found.st_uid,
            found.st_gid,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def test_files_are_written_with_owner_and_mode_and_once_only(machine: Recorder, tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    action = Files((shipped(machine, etc / "a"), shipped(machine, etc / "b", b"", 0o600, "root")))
    action.apply(machine, begin(machine, action))
    assert snapshot(etc) == {
        "a": (0o100640, pwd.getpwnam(OWNER).pw_uid, grp.getgrnam(GROUP).gr_gid, b"new"),
        "b": (0o100600, 0, 0, b""),
    }
    assert action.inspect(machine).noop_reason == "2 files are up to date"


def test_a_former_file_is_restored_exactly(machine: Recorder, tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "binary").write_bytes(bytes(range(256)))
    (etc / "big").write_bytes(b"x" * 400_000)
    (etc / "same").write_bytes(b"new")
    os.chown(etc / "same", pwd.getpwnam(OWNER).pw_uid, grp.getgrnam(GROUP).gr_gid)
    os.chmod(etc / "same", 0o640)
    os.chmod(etc / "binary", 0o4711)
    os.chown(etc / "big", 12345, 54321)
    before_all = snapshot(tmp_path / "etc")
    names = ("binary", "big", "same", "deep/er/missing")
    action = Files(tuple(shipped(machine, etc / name) for name in names), reload=True, user="nobody")
    before = begin(machine, action)
    assert [former["path"] for former in before["files"]] == [str(etc / name) for name in names if name != "same"]
    done = action.apply(machine, before)
    assert str(etc / "same") not in str(done["written"])
    assert (etc / "deep/er").stat().st_uid == pwd.getpwnam(OWNER).pw_uid, "a user's folders are the user's"
    for _ in range(2):
        action.undo(machine, before)
        assert snapshot(etc) == before_all, "and no folder is left behind"
    assert machine.said("systemctl", "--user", "daemon-reload") == [("systemctl", "--user", "daemon-reload")] * 3
    assert set(machine.users) == {"nobody"}


def test_folders_that_others_use_meanwhile_stay(machine: Recorder, tmp_path: Path) -> None:
    action = Files((shipped(machine, tmp_path / "etc/app/file"),))
    before = begin(machine, action)
    action.apply(machine, before)
    (tmp_path / "etc/other").write_text("somebody else's")
    action.undo(machine, before)
    assert list(snapshot(tmp_path / "etc")) == ["other"]


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_write_cut_off_anywhere_is_undone(machine: Recorder, tmp_path: Path, cut: int) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "a").write_text("old a")
    (etc / "b").write_text("old b")
    before_all = snapshot(etc)
    action = Files(tuple(shipped(machine, etc / name, name.encode()) for name in ("a", "b", "sub/c")))
    before = begin(machine, action)
    with pytest.MonkeyPatch.context() as monkeypatch:
        calls: list[Path] = []

        def some(path: Path, *args: Any) -> None:
            calls.append(path)
            if len(calls) == cut:
                raise KeyboardInterrupt
            put(path, *args)

        monkeypatch.setattr("fabfile.runner.actions.files.put", some)
        with pytest.raises(KeyboardInterrupt):  # 2 backups, 3 files
            action.apply(machine, before)
    action.undo(machine, before)
    assert snapshot(etc) == before_all


@pytest.mark.parametrize("name", ["a", "sub/b"])
def test_partial_files_of_a_killed_runner_are_deleted_too(machine: Recorder, tmp_path: Path, name: str) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "a").write_text("old a")
    before_all = snapshot(etc)
    action = Files(tuple(shipped(machine, etc / name, name.encode()) for name in ("a", "sub/b")))
    before = begin(machine, action)
    (etc / "sub").mkdir()
    killed_writing(etc / name)
    action.undo(machine, before)
    assert snapshot(etc) == before_all


@pytest.mark.parametrize("kind", ["directory", "link", "fifo"])
def test_anything_but_a_plain_file_is_never_replaced(machine: Recorder, tmp_path: Path, kind: str) -> None:
    target, other = tmp_path / "target", tmp_path / "other"
    other.write_text("old")
    if kind == "directory":
        target.mkdir()
    elif kind == "link":
        target.symlink_to(other)
    else:
        os.mkfifo(target)
    action = Files((shipped(machine, other), shipped(machine, target)))
    before = begin(machine, action)
    with pytest.raises(StepFailed, match="in the way"):
        action.apply(machine, before)
    assert other.read_text() == "old", "nothing is written before all is kept"
    action.undo(machine, before)
    assert other.read_text() == "old"
    assert file_fact(str(target)).kind == ("directory" if kind == "directory" else "other")


def test_damaged_or_missing_contents_are_never_written(machine: Recorder, tmp_path: Path) -> None:
    action = Files((shipped(machine, tmp_path / "a"),))
    before = begin(machine, action)
    content = machine.ops / "files" / action.files[0].sha256
    content.write_bytes(b"ne")
    with pytest.raises(StepFailed, match="damaged"):
        action.apply(machine, before)
    content.unlink()
    with pytest.raises(StepFailed, match="is not on the VPS"):
        action.apply(machine, before)
    assert not (tmp_path / "a").exists()


def test_a_failed_reload_fails_the_step_and_can_be_undone(machine: Recorder, tmp_path: Path) -> None:
    action = Files((shipped(machine, tmp_path / "a"),), reload=True)
    before = begin(machine, action)
    machine.answers["systemctl daemon-reload"] = (1, "", "no")
    with pytest.raises(CommandFailed):
        action.apply(machine, before)
    machine.answers.clear()
    action.undo(machine, before)
    assert not (tmp_path / "a").exists()


def test_writing_leaves_nothing_beside_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        put(tmp_path / "a", b"x", 0o600, "islandflow-nobody", "root")
    with pytest.raises(OSError, match="No such file"):
        put(tmp_path / "none/a", b"x", 0o600, "root", "root")
    assert list(tmp_path.iterdir()) == []


# ── Folders ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_folders_are_made_as_wanted_and_existing_ones_left_alone(machine: Recorder, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(0o700)
    action = Folders(
        (
            Folder(str(there), 0o755, OWNER, GROUP),
            Folder(str(tmp_path / "new"), 0o750, OWNER, GROUP),
            Folder(str(tmp_path / "new/er"), 0o755, "root", "root"),
        )
    )
    before = begin(machine, action)
    action.apply(machine, before)
    assert there.stat().st_mode & 0o777 == 0o700 and there.stat().st_uid == 0
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "new").stat().st_uid == pwd.getpwnam(OWNER).pw_uid
    assert action.inspect(machine).noop_reason
    for _ in range(2):
        action.undo(machine, before)
        assert [path.name for path in tmp_path.iterdir() if path.name != "ops"] == ["there"]


def test_a_folder_that_has_something_in_it_is_not_removed(machine: Recorder, tmp_path: Path) -> None:
    action = Folders((Folder(str(tmp_path / "data"), 0o755, "root", "root"),))
    before = begin(machine, action)
    action.apply(machine, before)
    (tmp_path / "data/rows").write_text("precious")
    assert action.undo(machine, before) == {"removed": []}
    assert (tmp_path / "data/rows").exists()


def test_a_file_where_a_folder_should_be(machine: Recorder, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    action = Folders((Folder(str(tmp_path / "data"), 0o755, "root", "root"),))
    with pytest.raises(StepFailed, match="in the way"):
        action.apply(machine, begin(machine, action))
    assert (tmp_path / "data").read_text() == "a file"


# ── Accounts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_missing_accounts_are_made_without_a_login(machine: Recorder) -> None:
    action = Accounts(("nobody", "islandflow-nats"), ("/nonexistent", "/var/lib/islandflow/nats"))
    before = begin(machine, action)
    assert before == {"missing": ["islandflow-nats"]}
    action.apply(machine, before)
    (argv,) = machine.said("useradd")
    assert {"--system", "--user-group", "--no-create-home", "/usr/sbin/nologin"} <= set(argv)
    assert argv[-1] == "islandflow-nats"
    assert action.noop_reason(Facts(accounts={"nobody": "1:1", "islandflow-nats": "9:9"}))
    assert action.undo(machine, before) == {"kept": ["islandflow-nats"]}


# ── Facts of files ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_fact_has_the_kind_of_a_path(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("ä")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"a" * 300_000)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.chown(tmp_path / "text", 54321, 54322)
    fact = file_fact(str(tmp_path / "text"))
    assert (fact.kind, fact.text, fact.owner, fact.group) == ("file", "ä", "54321", "54322")
    assert fact.sha256 == hashlib.sha256("ä".encode()).hexdigest()
    assert file_fact(str(tmp_path / "binary")).text is None
    assert file_fact(str(tmp_path / "large")).text is None
    assert file_fact(str(tmp_path / "loop")).kind == "other"
    assert file_fact(str(tmp_path)).kind == "directory"
    assert file_fact(str(tmp_path / "none")).kind == "missing"
    assert file_fact(str(tmp_path / "text/below")).kind in ("missing", "unreadable")
