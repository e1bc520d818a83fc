"""The lock: told who holds it, freed by the kernel, and never disturbed by those who only look."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fabfile.runner import store
from fabfile.runner.wire.store import LockHolder

HOLDER = LockHolder("ann@laptop", "cutover", "2026-01-01 10:00:00 UTC", plan="p1")
_HOLD = """
import subprocess, sys, time
from pathlib import Path
from fabfile.runner import store
from fabfile.runner.system.machine import Machine
from fabfile.runner.wire.store import LockHolder
with store.lock(Path(sys.argv[1]), {holder!r}):
    child = subprocess.Popen(["sleep", "30"])
    print(child.pid, flush=True)
    time.sleep(30)
"""


@contextmanager
def holder(root: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that holds the lock, with a child of its own."""
    script = _HOLD.format(holder=HOLDER)
    process = subprocess.Popen([sys.executable, "-c", script, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    child = int(process.stdout.readline())
    try:
        yield process, child
    finally:
        process.kill()
        os.kill(child, signal.SIGKILL)
        process.communicate()


def test_a_second_plan_gets_the_lock_holder_who_what_and_since_when(tmp_path: Path) -> None:
    with holder(tmp_path):
        with pytest.raises(store.LockedError, match="ann@laptop runs cutover since 2026-01-01") as caught:
            with store.lock(tmp_path, LockHolder("bob")):
                raise AssertionError("two hold the lock")
        assert caught.value.holder == HOLDER
        assert store.lock_holder(tmp_path) == HOLDER


def test_a_killed_holder_leaves_no_lock_although_its_child_lives_on(tmp_path: Path) -> None:
    with holder(tmp_path) as (process, child):
        process.kill()
        process.wait()
        os.kill(child, 0)  # it is there still
        assert store.lock_holder(tmp_path) is None
        with store.lock(tmp_path, LockHolder("bob")):
            assert "bob" in (tmp_path / "lock").read_text()
            assert "ann" not in (tmp_path / "lock").read_text(), "the former holder's name is gone"


def test_the_lock_is_free_after_use_and_after_an_error(tmp_path: Path) -> None:
    assert store.lock_holder(tmp_path) is None
    with pytest.raises(KeyError), store.lock(tmp_path, HOLDER):
        raise KeyError("something")
    assert store.lock_holder(tmp_path) is None
    with store.lock(tmp_path, HOLDER):
        assert store.lock_holder(tmp_path) == HOLDER


def test_only_root_may_read_it(tmp_path: Path) -> None:
    with store.lock(tmp_path, HOLDER):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_those_who_look_never_keep_a_plan_from_starting(tmp_path: Path) -> None:
    """Following a plan looks at the lock all the time, also at the moment when the plan wants it."""
    with open(tmp_path / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # as in the middle of lock_holder
        threading.Timer(0.1, fcntl.flock, (file, fcntl.LOCK_UN)).start()
        with store.lock(tmp_path, HOLDER):
            assert store.lock_holder(tmp_path) == HOLDER


def test_a_newer_versions_fields_in_the_lock_are_left_out(tmp_path: Path) -> None:
    with store.lock(tmp_path, HOLDER):
        (tmp_path / "lock").write_text('{"who": "ann", "mood": "calm"}')
        assert store.lock_holder(tmp_path) == LockHolder("ann")
    assert str(LockHolder()) == "somebody runs a plan since an unknown time"


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_a_lock_whose_holder_cannot_be_read_is_held_all_the_same(tmp_path: Path, text: str) -> None:
    with store.lock(tmp_path, HOLDER):
        (tmp_path / "lock").write_text(text)
        assert store.lock_holder(tmp_path) == LockHolder()
