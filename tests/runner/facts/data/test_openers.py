"""Who has a data directory open: by its own name, by another one, and from within another mount namespace."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fabfile.checks import data
from fabfile.inventory import Site
from fabfile.runner.actions.probes import DataUnused
from fabfile.runner.facts.data.openers import openers
from fabfile.runner.system.machine import Machine
from fabfile.runner.wire.data import Opener
from fabfile.runner.wire.facts import Container, Facts

pytestmark = pytest.mark.usefixtures("root")
HOLD = "import sys; file = open(*sys.argv[1:3]); print('open', flush=True); sys.stdin.read()"


@contextmanager
def holding(*command: str) -> Iterator[int]:
    """A process that has a file open until the block ends; the value is its id."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdin
        assert process.stdout.readline() == "open\n"
        yield process.pid
        process.stdin.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my data"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    return folder


@pytest.fixture(autouse=True)
def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests start counts as somebody else's."""
    monkeypatch.setattr(os, "getpid", lambda: -1)


def test_what_the_looker_runs_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A find(1) of the same survey walks through it."""
    monkeypatch.undo()
    script = f'"{sys.executable}" -c "$0" "{folder}/deep/file" r+; true'
    with holding("sh", "-c", script, HOLD):
        assert openers([str(folder)]) == ()


def test_a_folder_without_openers_has_none(folder: Path) -> None:
    assert openers([str(folder)]) == ()
    assert DataUnused((str(folder),)).check(Machine(folder)).ok


def test_a_process_that_has_a_file_in_it_open_is_named(folder: Path, tmp_path: Path) -> None:
    with holding(sys.executable, "-c", HOLD, str(folder / "deep" / "file"), "r+") as pid:
        (opener,) = openers([str(tmp_path / "other"), str(folder)])
        seen = DataUnused((str(folder),)).check(Machine(folder))
    assert (opener.folder, opener.pid) == (str(folder), pid) and opener.command.startswith("python")
    assert not seen.ok and f"(pid {pid}, " in seen.text and f"has {folder} in use" in seen.text


MAP = """
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    kept = mmap.mmap(file.fileno(), 0, flags=int(sys.argv[2]), prot=int(sys.argv[3]))
import os
for number in range(3, 32):
    try:
        os.close(number)
    except OSError:
        pass
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("flags", "protection", "uses"),
    [
        (mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, True),
        (mmap.MAP_SHARED, mmap.PROT_READ, False),
        (mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE, False),
    ],
)
def test_who_has_a_file_in_memory_alone_uses_it_if_what_it_writes_gets_there(
    flags: int, protection: int, uses: bool, folder: Path
) -> None:
    file = folder / "deep" / "file"
    with holding(sys.executable, "-c", MAP, str(file), str(flags), str(protection)) as pid:
        assert not any(os.readlink(one) == str(file) for one in Path(f"/proc/{pid}/fd").iterdir())
        assert [one.pid for one in openers([str(folder)])] == ([pid] if uses else [])


def test_a_folder_whose_name_only_begins_alike_is_another_one(folder: Path) -> None:
    other = folder.with_name("my data too")
    other.mkdir()
    (other / "file").write_text("x")
    with holding(sys.executable, "-c", HOLD, str(other / "file"), "r+"):
        assert openers([str(folder)]) == ()


@pytest.mark.parametrize("mounted", ["it", "above it", "within it"])
def test_a_container_that_knows_it_by_another_name_is_found(mounted: str, folder: Path, tmp_path: Path) -> None:
    """What Docker does: a mount namespace of its own, in which the directory is mounted somewhere else."""
    source, file = {
        "it": (folder, "deep/file"),
        "above it": (tmp_path, "my data/deep/file"),
        "within it": (folder / "deep", "file"),
    }[mounted]
    place = tmp_path / "inside"
    place.mkdir()
    script = f'mount --bind "{source}" "{place}" && exec "{sys.executable}" -c "$0" "{place}/{file}" r+'
    with holding("unshare", "--mount", "sh", "-c", script, HOLD) as pid:
        found = [opener for opener in openers([str(folder)]) if opener.pid == pid]
    assert [opener.folder for opener in found] == [str(folder)]


def test_a_container_with_the_folder_mounted_needs_no_file_open(folder: Path, tmp_path: Path) -> None:
    """NATS has none while it has nothing to write."""
    place = tmp_path / "inside"
    place.mkdir()
    script = f'mount --bind "{folder}" "{place}" && echo open && exec cat'
    with holding("unshare", "--mount", "sh", "-c", script) as pid:
        assert [opener.pid for opener in openers([str(folder)])] == [pid]


def test_a_container_that_only_has_what_is_above_it_is_left_alone(folder: Path, tmp_path: Path) -> None:
    """As a monitoring agent has the whole of the VPS."""
    place = tmp_path / "inside"
    place.mkdir()
    script = f'mount --bind "{tmp_path}" "{place}" && echo open && exec cat'
    with holding("unshare", "--mount", "sh", "-c", script):
        assert openers([str(folder)]) == ()


def test_who_can_only_read_is_left_alone(folder: Path, tmp_path: Path) -> None:
    """A backup reads all of it, and takes nothing away."""
    with holding(sys.executable, "-c", HOLD, str(folder / "deep" / "file"), "r"):
        assert openers([str(folder)]) == ()
    place = tmp_path / "inside"
    place.mkdir()
    script = f'mount --bind "{folder}" "{place}" && mount -o remount,bind,ro "{place}" && echo open && exec cat'
    with holding("unshare", "--mount", "sh", "-c", script):
        assert openers([str(folder)]) == ()


def test_a_server_that_works_in_it_needs_no_file_open_and_a_shell_there_is_nobody(folder: Path) -> None:
    """Redis without an append-only file opens one only to save."""
    script = "import socket, sys; s = socket.socket(); print('open', flush=True); sys.stdin.read()"
    with holding("sh", "-c", 'cd "$1" && exec "$2" -c "$3"', "-", str(folder), sys.executable, script) as pid:
        assert [opener.pid for opener in openers([str(folder)])] == [pid]
    with holding("sh", "-c", 'cd "$1" && echo open && exec cat', "-", str(folder)):
        assert openers([str(folder)]) == ()


def test_a_volume_mounted_with_the_folders_above_it_has_no_opener(tmp_path: Path) -> None:
    """A monitoring agent's recursive bind of / has every volume in it."""
    folder, place = tmp_path / "volume", tmp_path.with_name(f"{tmp_path.name}-inside")
    folder.mkdir()
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "islandflow-test", folder], check=True)
    try:
        script = f'mount --rbind "{tmp_path}" "{place}" && echo open && exec cat'
        with holding("unshare", "--mount", "sh", "-c", script):
            assert openers([str(folder)]) == ()
        (folder / "file").write_text("x")
        script = f'mount --rbind "{tmp_path}" "{place}" && exec "{sys.executable}" -c "$0" "{place}/volume/file" r+'
        with holding("unshare", "--mount", "sh", "-c", script, HOLD) as pid:
            assert [opener.pid for opener in openers([str(folder)])] == [pid]
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_containers_own_volume_has_no_opener(tmp_path: Path) -> None:
    """Each service with a mount namespace of its own has the volume there too, without any business with it."""
    folder = tmp_path / "volume"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "islandflow-test", folder], check=True)
    try:
        with holding("unshare", "--mount", "sh", "-c", "echo open && exec cat"):
            assert openers([str(folder)]) == ()
        place = tmp_path / "inside"
        place.mkdir()
        script = f'mount --bind "{folder}" "{place}" && echo open && exec cat'
        with holding("unshare", "--mount", "sh", "-c", script) as pid:
            assert [opener.pid for opener in openers([str(folder)])] == [pid], "but a container was given it"
        (folder / "file").write_text("x")
        with holding("unshare", "--mount", sys.executable, "-c", HOLD, str(folder / "file"), "r+") as pid:
            assert [opener.pid for opener in openers([str(folder)])] == [pid]
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_link_to_it_is_followed(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    with holding(sys.executable, "-c", HOLD, str(folder / "deep" / "file"), "r+") as pid:
        assert [opener.pid for opener in openers([str(link)])] == [pid]


def test_the_runners_own_process_is_no_opener(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with (folder / "deep" / "file").open():
        assert os.getpid() not in [opener.pid for opener in openers([str(folder)])]


def test_preflight_names_whom_a_hand_over_would_not_stop(site: Site) -> None:
    container = Container("redis", "p-redis-1", "c0ffee", "running", "", 0, 1, "", "redis", "172.18.0.4", {})
    held = site.infra.redis.data
    own = [
        Opener(held, 7, "redis-server", "/system.slice/docker-c0ffee.scope"),
        Opener(held, 8, "redis-server", f"/system.slice/{site.infra.redis.distribution_unit}"),
    ]
    other = Opener(held, 9, "redis-server", "/system.slice/docker-decaf.scope")
    (finding,) = data.foreign(site, Facts(containers={"redis": container}, openers=(*own, other)))
    assert "pid 9" in finding.text and held in finding.text and not finding.warning
