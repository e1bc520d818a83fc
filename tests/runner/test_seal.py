"""The seal, by real mounts: read-only for everybody, writable by the way kept for native, and gone without a trace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Unpack

import pytest

from fabfile.runner import seal
from fabfile.runner.actions.probes import Writable
from fabfile.runner.facts.data.openers import mounts_at, mounts_below
from fabfile.runner.system.machine import CommandFailed, Machine, Result, StepFailed
from tests.runner.support.run_options import RunOptions

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    """Two data directories, by name."""
    found = {}
    for name in ("redis", "nats"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
        found[name] = str(tmp_path / name)
    return found


@pytest.fixture
def way(tmp_path: Path, data: dict[str, str]) -> Iterator[Path]:
    """The folder below which the directories stay writable; no mount outlives the test."""
    yield tmp_path / "way"
    for path in (*data.values(), *(str(tmp_path / "way" / name) for name in data)):
        while mounts_at(path):
            subprocess.run(["umount", "--lazy", path], check=True)


def words(way: Path, data: dict[str, str]) -> list[str]:
    """The arguments of the unit."""
    return [str(way), *(f"{name}={path}" for name, path in data.items())]


def writable(folder: Path | str) -> bool:
    """Whether root can make a file there."""
    try:
        (Path(folder) / "new").touch()
        (Path(folder) / "new").unlink()
    except OSError:
        return False
    return True


def test_sealed_data_can_be_read_and_not_written_but_by_the_way_that_is_kept(
    tmp_path: Path, way: Path, data: dict[str, str]
) -> None:
    assert seal.seal(tmp_path, words(way, data), None) == 0
    for name, path in data.items():
        assert (Path(path) / "file").read_text() == "x" and not writable(path) and writable(way / name)
    assert way.stat().st_mode & 0o777 == 0o700
    assert not Writable(tuple(data.values())).check(Machine(tmp_path)).ok

    assert seal.unseal(tmp_path, words(way, data), None) == 0
    assert all(map(writable, data.values())) and not way.exists()
    assert Writable(tuple(data.values())).check(Machine(tmp_path)).ok


def test_twice_is_once(tmp_path: Path, way: Path, data: dict[str, str]) -> None:
    for _ in range(2):
        seal.seal(tmp_path, words(way, data), None)
    assert [mounts_at(path) for path in data.values()] == [1, 1]
    for _ in range(2):
        seal.unseal(tmp_path, words(way, data), None)
    assert [mounts_at(path) for path in data.values()] == [0, 0]


def test_nothing_is_sealed_beneath_who_uses_it(tmp_path: Path, way: Path, data: dict[str, str]) -> None:
    script = "import sys; file = open(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"
    argv = ["setsid", "--fork", sys.executable, "-c", script, f"{data['nats']}/file"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout and server.stdin and server.stdout.readline() == "open\n"
        with pytest.raises(StepFailed, match="the data is in use"):
            seal.seal(tmp_path, words(way, data), None)
        assert all(map(writable, data.values())) and not way.exists()
        server.stdin.close()


class Failing(Machine):
    """A machine whose mount number `at` fails, as one that is cut off there."""

    def __init__(self, ops: Path, at: int) -> None:
        super().__init__(ops)
        self.left = at

    def run(self, argv: Sequence[str], **options: Unpack[RunOptions]) -> Result:
        self.left -= 1
        if self.left < 0:
            raise CommandFailed("mount failed")
        return super().run(argv, **options)


@pytest.mark.parametrize("at", range(4))
def test_a_seal_that_failed_half_way_is_undone_and_can_be_made_again(
    at: int, tmp_path: Path, way: Path, data: dict[str, str]
) -> None:
    with pytest.raises(CommandFailed):
        seal.mount(Failing(tmp_path, at), way, data)
    seal.unseal(tmp_path, words(way, data), None)
    assert all(map(writable, data.values())) and not way.exists()

    with pytest.raises(CommandFailed):
        seal.mount(Failing(tmp_path, at), way, data)
    seal.seal(tmp_path, words(way, data), None)
    assert all(writable(way / name) and not writable(path) for name, path in data.items())


@pytest.mark.parametrize("at", range(4))
def test_unsealing_that_was_cut_off_goes_on(at: int, tmp_path: Path, way: Path, data: dict[str, str]) -> None:
    seal.seal(tmp_path, words(way, data), None)
    with pytest.raises(CommandFailed):
        seal.unmount(Failing(tmp_path, at), way, data)
    seal.unseal(tmp_path, words(way, data), None)
    assert all(map(writable, data.values())) and not way.exists()


def test_a_volume_of_the_operators_own_stays(tmp_path: Path, way: Path, data: dict[str, str]) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "islandflow-test", data["redis"]], check=True)
    (Path(data["redis"]) / "theirs").touch()
    seal.unseal(tmp_path, words(way, data), None)
    assert (Path(data["redis"]) / "theirs").exists(), "nothing was sealed"
    seal.seal(tmp_path, words(way, data), None)
    assert not writable(data["redis"]) and (way / "redis" / "theirs").exists()
    for _ in range(2):
        seal.unseal(tmp_path, words(way, data), None)
        assert writable(data["redis"]) and (Path(data["redis"]) / "theirs").exists()


def test_a_volume_within_the_data_is_known(tmp_path: Path, way: Path, data: dict[str, str]) -> None:
    inner = Path(data["nats"]) / "jetstream"
    inner.mkdir()
    assert mounts_below(list(data.values())) == ()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "islandflow-test", inner], check=True)
    try:
        assert mounts_below(list(data.values())) == (os.path.realpath(inner),)
    finally:
        subprocess.run(["umount", inner], check=True)
