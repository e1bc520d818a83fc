"""The data that is kept aside until a hand-over has proven itself, and put back where it has not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner.actions.keep_aside import DiscardKept, KeepAside, left_by_others
from fabfile.runner.facts.data import keeping
from fabfile.runner.system.machine import Evidence, Machine
from fabfile.runner.wire.data import Kept


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "backups").mkdir()
    return Machine(tmp_path, tmp_path / "backups")


def plain(evidence: Evidence) -> Any:
    """What the journal keeps of it."""
    return json.loads(json.dumps(evidence))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A server's folder: a snapshot, a log that is appended to, a link, a folder."""
    folder = tmp_path / "redis"
    (folder / "deep").mkdir(parents=True, mode=0o750)
    (folder / "dump.rdb").write_bytes(b"snapshot")
    (folder / "deep" / "log.aof").write_bytes(b"entries")
    (folder / "link").symlink_to("dump.rdb")
    return folder


def contents(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }


def spoil(folder: Path) -> None:
    """What a server that started with less may do: replace, append, delete, add."""
    (folder / "new").write_bytes(b"empty")
    (folder / "new").rename(folder / "dump.rdb")
    with (folder / "deep" / "log.aof").open("ab") as file:
        file.write(b" and more")
    (folder / "link").unlink()
    (folder / "more").write_bytes(b"x")


def test_data_that_a_server_changed_is_restored(machine: Machine, data: Path) -> None:
    before, mode = contents(data), (data / "deep").stat().st_mode
    aside = KeepAside((Kept(str(data), ("*.rdb",)),))
    link = 8  # bytes: where it leads
    assert plain(aside.apply(machine, {}))["kept"][str(data)] == {"linked": 1, "copied_bytes": 7 + link}
    spoil(data)
    assert aside.undo(machine, {}) == {"restored": [str(data)]}
    assert contents(data) == before and (data / "deep").stat().st_mode == mode
    aside.undo(machine, {})
    assert contents(data) == before, "twice is the same"

    left = left_by_others(machine, str(data))
    assert (left / "more").read_bytes() == b"x", "what the server made of it stays until all is there again"
    assert [path for path in data.parent.iterdir() if "by-islandflow" in path.name] == [left]


def test_data_stays_as_the_new_server_has_it_once_the_comparison_passed(machine: Machine, data: Path) -> None:
    aside = KeepAside((Kept(str(data), ("*.rdb",)),))
    aside.apply(machine, {})
    spoil(data)
    after = contents(data)
    (machine.backups / "data-proven").touch()
    aside.undo(machine, {})
    assert contents(data) == after
    assert not [path for path in data.parent.iterdir() if "by-islandflow" in path.name]


@pytest.mark.parametrize("cut", ["kept", "moved away", "put back"])
def test_a_restore_that_was_cut_off_goes_on(cut: str, machine: Machine, data: Path) -> None:
    before = contents(data)
    aside = KeepAside((Kept(str(data), ("*.rdb",)),))
    aside.apply(machine, {})
    spoil(data)
    kept, lost = data.with_name(".redis.kept-by-islandflow"), left_by_others(machine, str(data))
    if cut != "kept":
        data.rename(lost)
    if cut == "put back":
        kept.rename(data)
    aside.undo(machine, {})
    assert contents(data) == before and lost.exists() and not kept.exists()


@pytest.mark.parametrize("left", ["half a copy", "an earlier plan's copy"])
def test_anything_but_a_whole_copy_of_this_plan_is_never_restored(left: str, machine: Machine, data: Path) -> None:
    before = contents(data)
    name = ".redis.kept-by-islandflow" + (".part" if left == "half a copy" else "")
    data.with_name(name).mkdir()
    (data.with_name(name) / "dump.rdb").write_bytes(b"last month's")
    aside = KeepAside((Kept(str(data), ()),))
    assert aside.undo(machine, {}) == {"restored": []}
    assert contents(data) == before
    aside.apply(machine, {})
    spoil(data)
    aside.undo(machine, {})
    assert contents(data) == before, "the next copy takes its place"


def test_a_folder_that_is_not_there_is_nothing_to_keep(machine: Machine, tmp_path: Path) -> None:
    aside = KeepAside((Kept(str(tmp_path / "none"), ()),))
    assert plain(aside.apply(machine, {}))["kept"] == {str(tmp_path / "none"): {"linked": 0, "copied_bytes": 0}}
    assert aside.undo(machine, {}) == {"restored": []}


def test_a_folder_that_cannot_be_copied_is_reported_and_fails_no_step(
    machine: Machine, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    evidence = plain(KeepAside((Kept(str(data), ("*.rdb",)),)).apply(machine, {}))
    assert evidence["kept"][str(data)] == "not kept: invalid cross-device link"
    assert not [path for path in data.parent.iterdir() if "by-islandflow" in path.name]


def test_a_volume_of_its_own_cannot_be_kept(machine: Machine, data: Path) -> None:
    """Nothing can be renamed to its place, so that putting back would fail where it is needed most."""
    subprocess.run(["mount", "--bind", data, data], check=True)
    try:
        aside = KeepAside((Kept(str(data), ()),))
        assert "mount point" in plain(aside.apply(machine, {}))["kept"][str(data)]
        assert aside.undo(machine, {}) == {"restored": []}
    finally:
        subprocess.run(["umount", data], check=True)


def test_a_folder_that_is_a_link_stays_one(machine: Machine, data: Path) -> None:
    before, real = contents(data), data.with_name("elsewhere")
    data.rename(real)
    data.symlink_to(real)
    aside = KeepAside((Kept(str(data), ("*.rdb",)),))
    aside.apply(machine, {})
    spoil(real)
    assert aside.undo(machine, {}) == {"restored": [str(data)]}
    assert data.is_symlink() and contents(real) == before


def test_large_logs_are_linked_instead_of_keeping_requests_waiting(
    machine: Machine, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_MAX_COPIED_BYTES", 3)
    assert plain(KeepAside((Kept(str(data), ()),)).apply(machine, {}))["kept"][str(data)]["copied_bytes"] <= 3


def test_the_kept_copy_is_deleted_at_the_end(machine: Machine, data: Path) -> None:
    aside = KeepAside((Kept(str(data), ()),))
    aside.apply(machine, {})
    DiscardKept(aside).apply(machine, {})
    assert not data.with_name(".redis.kept-by-islandflow").exists() and data.exists()


def test_of_numbered_blocks_the_last_one_is_copied_for_it_still_grows(machine: Machine, tmp_path: Path) -> None:
    data = tmp_path / "nats"
    data.mkdir()
    for name in ("1.blk", "2.blk", "10.blk", "meta.inf"):
        (data / name).write_bytes(b"12345")
    aside = KeepAside((Kept(str(data), numbered=("*.blk",)),))
    assert plain(aside.apply(machine, {}))["kept"][str(data)] == {"linked": 2, "copied_bytes": 10}
    with (data / "10.blk").open("ab") as file:
        file.write(b"6")
    aside.undo(machine, {})
    assert (data / "10.blk").read_bytes() == b"12345"


def test_data_that_an_earlier_plan_left_for_comparison_is_not_deleted(machine: Machine, data: Path) -> None:
    earlier = data.with_name(".redis.left-in-20260101T000000-cutover-by-islandflow")
    earlier.mkdir()
    aside = KeepAside((Kept(str(data)),))
    aside.apply(machine, {})
    spoil(data)
    aside.undo(machine, {})
    assert earlier.exists()
