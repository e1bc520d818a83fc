"""What of the data can't be kept aside: known before a hand-over, by the same division of files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabfile.runner.facts.data import keeping
from fabfile.runner.facts.data.keeping import unkept
from fabfile.runner.wire.data import Kept, Unkept


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "redis"
    (folder / "appendonlydir").mkdir(parents=True)
    (folder / "dump.rdb").write_bytes(b"s" * 100)
    (folder / "appendonlydir" / "log.aof").write_bytes(b"e" * 10)
    return folder


def mounted(*arguments: str) -> Iterator[None]:
    """A mount, or several of one point, until the test is over."""
    subprocess.run(["mount", *arguments], check=True)
    yield
    subprocess.run(["umount", arguments[-1]], check=True)


def test_what_is_small_can_be_kept(data: Path) -> None:
    assert unkept([Kept(str(data), replaced=("*.rdb",)), Kept(str(data / "none"))]) == ()


def test_what_is_too_large_to_copy_is_counted(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_MAX_COPIED_BYTES", 9)
    assert unkept([Kept(str(data), replaced=("*.rdb",))]) == (Unkept(str(data), shared=10),)
    assert unkept([Kept(str(data), replaced=("*.rdb", "*.aof"))]) == ()


@pytest.mark.usefixtures("root")
def test_a_mount_point_is_named_and_the_seal_is_none(data: Path) -> None:
    volume = mounted("-t", "tmpfs", "tmpfs", str(data))
    next(volume)
    try:
        assert unkept([Kept(str(data))]) == (Unkept(str(data), keeping.MOUNT_POINT),)
    finally:
        next(volume, None)
    seal = mounted("--bind", "-o", "ro", str(data), str(data))
    next(seal)
    try:
        assert unkept([Kept(str(data))]) == ()
    finally:
        next(seal, None)
