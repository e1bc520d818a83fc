"""The copy of the runner that is compiled: it saves time, and nothing else changes, whatever becomes of it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fabfile.remote import bootstrap
from fabfile.runner import bytecode, stdio

_FROM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from runner import main; print(main.__file__); main.VERBS['survey']"
)


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A runner as a plan leaves it."""
    path = tmp_path / bootstrap.runner_name()
    path.write_bytes(bootstrap.zipapp())
    return path


def loaded_from(zipapp: Path) -> str:
    """The file that this Python loads the verbs from."""
    words = [sys.executable, "-I", "-c", _FROM, str(zipapp)]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_modules_are_loaded_from_their_bytecode_and_it_is_made_once(tmp_path: Path, runner: Path) -> None:
    copy = bytecode.compiled(tmp_path, runner)
    assert loaded_from(copy) == f"{copy}/runner/main.pyc"
    assert loaded_from(runner) == f"{runner}/runner/main.py"
    made = copy.stat().st_mtime_ns
    assert bytecode.compiled(tmp_path, runner) == copy
    assert copy.stat().st_mtime_ns == made
    assert copy.stat().st_mode & 0o777 == 0o600


def test_another_python_reads_the_sources(tmp_path: Path, runner: Path) -> None:
    copy, foreign = bytecode.compiled(tmp_path, runner), tmp_path / "foreign.pyz"
    with zipfile.ZipFile(copy) as source, zipfile.ZipFile(foreign, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            its_own = content.startswith(importlib.util.MAGIC_NUMBER)
            target.writestr(entry, b"\x01\x02\r\n" + content[4:] if its_own else content)
    assert loaded_from(foreign) == f"{foreign}/runner/main.py"


def test_a_copy_that_was_cut_off_is_made_anew(tmp_path: Path, runner: Path) -> None:
    copy = bytecode.compiled(tmp_path, runner)
    whole = copy.read_bytes()
    copy.write_bytes(whole[:1000])
    assert bytecode.compiled(tmp_path, runner) == copy
    assert copy.read_bytes() == whole


def test_where_none_can_be_written_the_runner_itself_runs(
    tmp_path: Path, runner: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bytecode, "put", full)
    assert stdio.store_runner(tmp_path, runner.name) == runner
    assert [path.name for path in tmp_path.iterdir()] == [runner.name]
