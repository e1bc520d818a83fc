"""The runner's verbs on soaks: start, run, follow, stop one, and show the last."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from .. import store
from ..stdio import emit, store_runner
from ..system.machine import Machine, StepFailed
from ..wire import shape
from ..wire.codec import decode_as
from ..wire.soak import Soak
from ..wire.store import LockHolder
from . import sampler

MAX_START_SECONDS = 30.0  # until a soak that no process runs counts as gone; its unit restarts it after a crash
_POLL_SECONDS = 0.5  # between two readings of its file


def soak_start(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Store a soak's request and this very zipapp, start it detached, and follow it; or print who runs one already."""
    header = shape.parse(stdin.readline())
    soak = decode_as(Soak, header["soak"])
    if _another_runs(root, soak.id):
        return 0
    store.prepare(root)
    runner = store_runner(root, header["runner"])
    sampler.begin(root, soak)
    try:
        detach(root, runner, soak.id)
    except StepFailed:
        sampler.discard(root, soak.id)
        raise
    return soak_follow(root, [soak.id], stdin)


def soak_run(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Run a soak until it is over."""
    try:
        sampler.run(root, arguments[0], Machine(root))
    except store.LockedError as locked:
        if len(sampler.reader(root, arguments[0]).new_events()) == 1:  # the running one began in the same instant
            sampler.discard(root, arguments[0])
        raise StepFailed(str(locked)) from locked
    return 0


def soak_follow(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Print a soak's lines from number arguments[1] on, as they come, until it has ended or no process runs it."""
    reader, skip = sampler.reader(root, arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0
    last_alive = time.monotonic()
    while True:
        lines = reader.new_events()
        _emit_all(lines[skip:])
        skip = max(0, skip - len(lines))
        if lines and lines[-1]["kind"] == "finished":
            return 0
        holder = sampler.running(root)
        if lines or (holder and holder.soak == arguments[0]):
            last_alive = time.monotonic()
        elif _another_runs(root, arguments[0]) or time.monotonic() - last_alive > MAX_START_SECONDS:
            return 0
        time.sleep(_POLL_SECONDS)


def soak_stop(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """End the running soak and print all its lines; nothing when none runs."""
    running = sampler.running(root)
    if not running:
        return 0
    sampler.stop(root, running.soak)
    return soak_follow(root, [running.soak], stdin)


def soak_show(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Print who runs a soak now, and all lines of the newest one so far."""
    emit({"holder": (sampler.running(root) or LockHolder()).as_json()})
    if sampler.last(root):
        _emit_all(sampler.reader(root, sampler.last(root)).new_events())
    return 0


def resume(root: Path) -> None:
    """Start the soak again that a boot has cut off, if there is one. Raises StepFailed."""
    soak = sampler.resumable(root)
    if soak:
        # Not the link that the boot's unit starts: the next plan replaces it.
        detach(root, Path(sys.path[0]).resolve(), soak)


def detach(root: Path, runner: Path, soak_id: str) -> None:
    """Start a soak in a transient unit of its own, which yields to everything else and starts it again after a crash.

    Raises StepFailed.
    """
    Machine(root).run(
        ["systemd-run", "--quiet", "--collect", f"--unit=islandflow-soak-{soak_id}"]
        + [f"--description=Islandflow soak {soak_id}", "--nice=10", "--property=TimeoutStopSec=5"]
        + ["--property=Restart=on-abnormal", "--property=RestartSec=5"]
        + [sys.executable, "-I", str(runner), "soak_run", soak_id]
    )


def _another_runs(root: Path, soak_id: str) -> bool:
    """Whether another soak runs; prints who runs it."""
    holder = sampler.running(root)
    if not holder or holder.soak == soak_id:
        return False
    emit({"holder": holder.as_json()})
    return True


def _emit_all(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        emit(line)
