"""What a control group holds: by the kernel's account where there is one, else by its processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabfile.runner.facts.usage import memory
from fabfile.runner.facts.usage.memory import memory_of
from fabfile.runner.wire.soak import Memory

HOG = "import sys; held = bytearray(64 << 20); print('up', flush=True); sys.stdin.read()"
STAT = "anon 700\nfile 5000\nshmem 200\nslab_reclaimable 300\nslab_unreclaimable 10\n"


@pytest.fixture
def hog() -> Iterator[int]:
    """A process that holds 64 MiB."""
    with subprocess.Popen([sys.executable, "-c", HOG], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group of our own process that the kernel accounts for."""
    monkeypatch.setattr(memory, "cgroup_of", lambda pid: "/app.slice/api.service" if pid == os.getpid() else "")
    made = tmp_path / "app.slice/api.service"
    made.mkdir(parents=True)
    (made / "memory.stat").write_text(STAT)
    (made / "memory.current").write_text("6100\n")
    return made


def test_caches_that_the_kernel_can_take_back_are_not_held(group: Path, tmp_path: Path) -> None:
    assert memory_of([os.getpid()], tmp_path) == {os.getpid(): Memory(held=1000, cached=5100)}


def test_swapped_memory_counts(group: Path, tmp_path: Path) -> None:
    (group / "memory.swap.current").write_text("4096\n")
    assert memory_of([os.getpid()], tmp_path) == {os.getpid(): Memory(held=5096, cached=5100)}


def test_without_an_account_the_processes_are_summed_up(hog: int, tmp_path: Path) -> None:
    found = memory_of([hog], tmp_path)
    assert found[hog].held >= 64 << 20 and found[hog].cached == 0


def test_every_process_of_the_group_counts_and_of_groups_below_it(
    hog: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {os.getpid(): "/a.service", hog: "/a.service/below"}
    monkeypatch.setattr(memory, "cgroup_of", lambda pid: places.get(pid, "/a.service.d"))
    found = memory_of([os.getpid(), hog], tmp_path)
    assert found[os.getpid()].held > found[hog].held >= 64 << 20


def test_a_process_that_is_gone_is_left_out(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert memory_of([gone.pid, 0], tmp_path) == {}
