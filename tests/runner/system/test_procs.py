"""Processes of this machine, with names that are made to confuse."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from fabfile.runner.system import procs

GONE = 1 << 23  # above the greatest number that a process can have


def test_a_process_has_a_parent_a_state_and_an_age() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            found = procs.process(child.pid)
            assert found and found.parent == os.getpid() and not found.ended
            assert 0 <= found.age < 60
            own = procs.process(os.getpid())
            assert own and own.started <= found.started
        finally:
            child.kill()


def test_one_that_has_ended_is_told_until_somebody_has_its_exit_status() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        found = procs.process(child.pid)
        assert found and found.ended
        assert procs.title(child.pid) == ""
    assert procs.process(child.pid) is None and procs.title(child.pid) == ""
    assert procs.process(GONE) is None and procs.descendants(GONE) == {}


@pytest.mark.parametrize("name", [b"a) S 1 (b", b"two words", b"\xff\xfe"])
def test_a_name_with_brackets_and_spaces_moves_no_field(name: bytes) -> None:
    """A thread names itself: what /proc has of it is the process's own."""
    libc = ctypes.CDLL(None)
    former = ctypes.create_string_buffer(16)
    assert threading.current_thread() is threading.main_thread()
    libc.prctl(16, former)  # PR_GET_NAME
    libc.prctl(15, name)  # PR_SET_NAME
    try:
        found = procs.process(os.getpid())
    finally:
        libc.prctl(15, former)
    assert found and (found.parent, found.pid) == (os.getppid(), os.getpid())


def test_descendants_are_all_of_them_and_nobody_else() -> None:
    script = "import subprocess, sys; subprocess.run(['sleep', '60']); sys.exit()"
    with subprocess.Popen([sys.executable, "-c", script], start_new_session=True) as child:
        try:
            while len(found := procs.descendants(child.pid)) < 2:
                time.sleep(0.02)
            assert child.pid in found and os.getpid() not in found
            assert any(procs.title(pid) == "sleep 60" for pid in found)
        finally:
            os.killpg(child.pid, signal.SIGKILL)
