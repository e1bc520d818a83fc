"""Files replaced as a whole, and what a killed writer leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fabfile.runner.system.files import clear, clear_all, put
from tests.runner.support.killed import killed_writing

ME = (str(os.geteuid()), str(os.getegid()))


def test_what_a_killed_writer_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a", "a.conf", "[a]"):
        (tmp_path / name).write_text("whole")
        killed_writing(tmp_path / name)
    for name in ("a", "[a]"):
        clear(tmp_path / name)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left[0].startswith(".a.conf.islandflow-") and left[1:] == ["[a]", "a", "a.conf"]
    clear_all(tmp_path.parent)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("a", "a.conf", "[a]"), "whole"
    )


def test_clearing_beside_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    clear(tmp_path / "no/such/file")
    clear_all(tmp_path / "no")


def test_a_link_in_the_way_is_replaced_and_never_followed(tmp_path: Path) -> None:
    """Whoever owns the folder could else have root overwrite anything."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / f".a.islandflow-{os.getpid()}").symlink_to("precious")
    put(tmp_path / "a", b"new", 0o600, *ME)
    assert (tmp_path / "precious").read_text() == "precious" and (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("there", [True, False])
def test_a_write_that_fails_leaves_nothing(tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if there:
        (tmp_path / "a").write_text("old")

    def full(*names: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        put(tmp_path / "a", b"new", 0o600, *ME)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"] * there
