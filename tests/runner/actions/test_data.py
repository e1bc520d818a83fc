"""Handing data over, on real trees with real owners, and back to the very same."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabfile.runner.actions.data import ChangeOwnership, SetOwner
from fabfile.runner.actions.probes import ReadOnly
from fabfile.runner.facts.gather import gather
from fabfile.runner.system import paths
from fabfile.runner.system.machine import Machine, Result, StepFailed
from fabfile.runner.wire.codec import decode, encode
from fabfile.runner.wire.facts import Facts, Tree
from tests.runner.support.killed import killed_writing
from tests.runner.support.recorder import Recorder
from tests.runner.support.run_options import RunOptions
from tests.runner.support.worlds import new_world

pytestmark = pytest.mark.usefixtures("root")
NEW = "1234:2345"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "ops")
    made.backups.mkdir(parents=True)
    return made


def owners(folder: Path) -> dict[bytes, str]:
    """Every entry, by its very bytes, with its owner."""
    found = {}
    for base, folders, files in os.walk(os.fsencode(folder)):
        for name in [b"", *folders, *files]:
            path = os.path.join(base, name)
            status = os.lstat(path)
            found[os.path.normpath(path)] = f"{status.st_uid}:{status.st_gid}"
    return found


def begin(machine: Machine, action: Any) -> dict[str, Any]:
    look = decode(json.loads(json.dumps(encode(action)))).inspect(machine)
    assert not look.noop_reason
    before: dict[str, Any] = json.loads(json.dumps(look.before))
    return before


class CutOff(Machine):
    """A machine on which chown is killed after some entries of the tree, in whatever order."""

    def __init__(self, whole: Machine, after: int) -> None:
        super().__init__(whole.ops, whole.backups)
        self.after = after

    def run(self, argv: Sequence[str], **more: Unpack[RunOptions]) -> Result:
        if argv[0] != "chown":
            return super().run(argv, **more)
        for entry in list(owners(Path(argv[-1])))[: self.after]:
            super().run(["chown", "-h", argv[2], os.fsdecode(entry)])
        raise StepFailed("cut off")


ODD = (
    b"plain",
    b"with space",
    b"tab\there",
    b"line\nfeed",
    b"\xff\xfe",
    b"-rf",
    "ü".encode(),
    b"\\",
    b"..x",
    b" ",
    b"\r",
)


def grown(folder: Path, pairs: list[tuple[int, int]]) -> None:
    """A tree with odd names, links to outside, and owners in turn."""
    outside = folder.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "file").write_text("not ours")
    folder.mkdir()
    (folder / "out").symlink_to(outside)
    (folder / "dangling").symlink_to(outside / "none")
    base = os.fsencode(folder)
    for name in ODD:
        os.mkdir(os.path.join(base, b"d" + name))
        for path in (os.path.join(base, name), os.path.join(base, b"d" + name, name)):
            with open(path, "wb") as file:
                file.write(name)
    entries = sorted(owners(folder))
    for number, entry in enumerate(entries):
        os.chown(entry, *pairs[number % len(pairs)], follow_symlinks=False)


@pytest.mark.parametrize("pairs", [[(7, 8)], [(0, 0), (999, 1000), (0, 1000)]], ids=["uniform", "mixed"])
def test_everything_changes_hands_and_comes_back_exactly(
    machine: Machine, tmp_path: Path, pairs: list[tuple[int, int]]
) -> None:
    data = tmp_path / "data"
    grown(data, pairs)
    before_all, outside = owners(data), owners(tmp_path / "outside")
    action = ChangeOwnership((str(data),), (NEW,))
    before = begin(machine, action)
    assert bool(before["mixed"]) == (len(pairs) > 1)
    assert action.apply(machine, before) == {"given": {str(data): NEW}}
    assert set(owners(data).values()) == {NEW}
    assert owners(tmp_path / "outside") == outside, "links are not followed"
    assert action.inspect(machine).noop_reason
    for _ in range(2):
        action.undo(machine, before)
        assert owners(data) == before_all
    assert owners(tmp_path / "outside") == outside


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=12).filter(
            lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..")
        ),
        st.tuples(st.integers(0, 3), st.integers(0, 2)),
        max_size=8,
    ),
    st.integers(0, 8),
)
def test_any_names_and_owners_come_back(entries: dict[bytes, tuple[int, int]], cut: int) -> None:
    with new_world() as world:
        machine = Machine(world.ops)
        machine.backups.mkdir()
        data = world.files / "data"
        data.mkdir()
        for name, pair in entries.items():
            path = os.path.join(os.fsencode(data), name)
            Path(os.fsdecode(path)).touch()
            os.chown(path, *pair)
        before_all = owners(data)
        action = ChangeOwnership((str(data),), (NEW,))
        before = begin(machine, action)
        with pytest.raises(StepFailed, match="cut off"):
            action.apply(CutOff(machine, cut), before)
        action.undo(machine, before)
        assert owners(data) == before_all


@pytest.mark.parametrize("mixed", [False, True])
def test_files_that_the_new_owner_made_go_to_the_former_one(machine: Machine, tmp_path: Path, mixed: bool) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "old").touch()
    for path, uid in ((data, 5), (data / "old", 6 if mixed else 5)):
        os.chown(path, uid, 5)
    action = ChangeOwnership((str(data),), (NEW,))
    before = begin(machine, action)
    action.apply(machine, before)
    (data / "old").unlink()
    (data / "new").mkdir()
    (data / "new/er").touch()
    action.undo(machine, before)
    assert set(owners(data).values()) == {"5:5"}


def test_killed_before_the_owners_were_noted_nothing_was_handed_over(machine: Machine, tmp_path: Path) -> None:
    data = tmp_path / "data"
    grown(data, [(1, 1), (2, 2)])
    before_all = owners(data)
    action = ChangeOwnership((str(data),), (NEW,))
    before = begin(machine, action)
    assert action.undo(machine, before) == {"restored": {}}
    assert owners(data) == before_all


def test_a_missing_directory_and_a_user_by_name(machine: Machine, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    action = ChangeOwnership((str(data), str(tmp_path / "none")), ("nobody", "nobody"))
    before = begin(machine, action)
    action.apply(machine, before)
    assert paths.tree(machine, str(data)).owners == (paths.account("nobody"),)
    assert action.inspect(machine).noop_reason
    action.undo(machine, before)
    assert paths.tree(machine, str(data)).owners == ("0:0",)


def test_an_unknown_user_fails_before_anything_changes(machine: Machine, tmp_path: Path) -> None:
    action = ChangeOwnership((str(tmp_path),), ("islandflow-nobody",))
    before_all = owners(tmp_path)
    with pytest.raises(StepFailed, match="no user islandflow-nobody"):
        action.apply(machine, begin(machine, action))
    assert {path: who for path, who in owners(tmp_path).items() if path in before_all} == before_all


def test_a_tree_that_needs_nothing_is_left_alone(machine: Machine, tmp_path: Path) -> None:
    for name, uid in (("done", 1234), ("data", 7)):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, uid, 2345)
    action = ChangeOwnership((str(tmp_path / "done"), str(tmp_path / "data")), (NEW, NEW))
    before = begin(machine, action)
    assert list(before["owners"]) == [str(tmp_path / "data")]
    changed = os.stat(tmp_path / "done").st_ctime_ns
    action.apply(machine, before)
    action.undo(machine, before)
    assert os.stat(tmp_path / "done").st_ctime_ns == changed


def test_files_missing_at_the_undo_do_not_fail_it(machine: Machine, tmp_path: Path) -> None:
    for name, uid in (("a", 5), ("b", 6)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        os.chown(tmp_path / name, uid, 5)
        os.chown(tmp_path / name / "file", 9, 9)
    action = ChangeOwnership((str(tmp_path / "a"), str(tmp_path / "b")), (NEW, NEW))
    before = begin(machine, action)
    action.apply(machine, before)
    (tmp_path / "a/file").unlink()
    (tmp_path / "a").rmdir()
    (tmp_path / "b/file").unlink()
    assert action.undo(machine, before) == {"restored": {str(tmp_path / "b"): "6:5"}}


def test_one_foreign_entry_is_enough_to_hand_over(tmp_path: Path) -> None:
    action = ChangeOwnership(("/d",), (NEW,))
    assert action.noop_reason(Facts(trees={"/d": Tree("/d", NEW)}))
    assert not action.noop_reason(Facts(trees={"/d": Tree("/d", NEW, ("0:0",))}))
    by_name = ChangeOwnership(("/d",), ("nats",))
    facts = Facts(trees={"/d": Tree("/d", "101:101")}, accounts={"nats": "101:101"})
    assert by_name.noop_reason(facts)
    assert not by_name.noop_reason(Facts(trees=facts.trees, accounts={"nats": ""})), "no such user yet"


# ── The owner file ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("former", ["", "docker", "native"])
def test_the_owner_is_set_and_set_back(machine: Machine, tmp_path: Path, former: str) -> None:
    path = tmp_path / "owner"
    if former:
        path.write_text(f"{former}\n")
    action = SetOwner(str(path), "docker" if former == "native" else "native")
    before = begin(machine, action)
    action.apply(machine, before)
    assert path.read_text() == f"{action.runtime}\n"
    assert path.stat().st_mode & 0o777 == 0o644, "the app's user must be able to read it"
    assert action.inspect(machine).noop_reason
    for _ in range(2):
        action.undo(machine, before)
        assert (path.read_text().strip() if path.exists() else "") == former


def test_an_owner_that_a_killed_runner_had_half_written_is_cleared(machine: Machine, tmp_path: Path) -> None:
    action = SetOwner(str(tmp_path / "var/owner"), "native")
    (tmp_path / "var").mkdir()
    before = begin(machine, action)
    killed_writing(tmp_path / "var/owner")
    action.undo(machine, before)
    assert list((tmp_path / "var").iterdir()) == []


def test_native_units_are_stopped_before_the_owner_says_anything_but_native(tmp_path: Path) -> None:
    """A reboot in the middle of a cutover starts what is enabled at boot, though no step has begun it yet."""
    path = tmp_path / "owner"
    machine = Recorder(tmp_path)
    action = SetOwner(str(path), "native", ("nats.service",), "delta", ("api.service", "web.service"))
    action.apply(machine, {"owner": "docker"})
    assert machine.calls == [], "natives may run under a native owner"
    stopped: list[tuple[str, ...]] = [("systemctl", "stop", "--", "nats.service")]
    stopped.append(("systemctl", "--user", "stop", "--", "api.service", "web.service"))
    for former in ("docker", ""):
        machine.calls.clear()
        action.undo(machine, {"owner": former})
        assert [call for call in machine.calls if "show" not in call] == stopped and machine.users[-1] == "delta"
    machine.answers = {"systemctl --user stop": (1, "", "no bus")}
    path.write_text("native\n")
    with pytest.raises(StepFailed):
        action.undo(machine, {"owner": "docker"})
    assert path.read_text() == "native\n", "it is said only once they are down"


@pytest.mark.parametrize("content", [b"both", b"\xff\xfe", b""])
def test_an_owner_file_that_says_nothing_known_stops_everything(
    machine: Machine, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "owner").write_bytes(content)
    action = SetOwner(str(tmp_path / "owner"), "native")
    with pytest.raises(StepFailed, match="neither native nor docker"):
        action.inspect(machine)
    facts = gather(machine, action.required_facts())
    assert action.unreadable_reason(facts)
    assert (tmp_path / "owner").read_bytes() == content


def test_a_folder_is_read_only_where_nobody_can_write_to_it_at_its_usual_place(
    machine: Machine, tmp_path: Path
) -> None:
    folder = tmp_path / "redis"
    folder.mkdir()
    probe = ReadOnly((str(folder),))
    assert not probe.check(machine).ok and str(folder) in probe.check(machine).text
    subprocess.run(["mount", "--bind", "-o", "ro", folder, folder], check=True)
    try:
        assert probe.check(machine).ok
    finally:
        subprocess.run(["umount", folder], check=True)
    assert not ReadOnly((str(tmp_path / "none"),)).check(machine).ok
