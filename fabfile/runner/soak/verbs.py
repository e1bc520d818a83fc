"""The runner's verbs on soaks: start one, be one, follow, stop and show the last."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from .. import store
from ..stdio import keep_runner, tell
from ..system.machine import Machine, StepFailed
from ..wire.codec import decode
from ..wire.soak import Soak
from ..wire.store import LockHolder
from . import sampler

STARTING = 30.0  # seconds until a soak that nobody carries out is given up; its unit starts it again after a crash
_GLANCE = 0.5  # seconds between two looks at its file


def soak_start(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Take a soak's request and this very zipapp, start it detached, and follow it; or tell who runs one."""
    header = json.loads(stdin.readline())
    wanted: Soak = decode(header["soak"])
    if _held(root, wanted.id):
        return 0
    store.prepare(root)
    keep_runner(root, header["runner"])
    sampler.begin(root, wanted)
    try:
        detach(root, root / header["runner"], wanted.id)
    except StepFailed:
        sampler.forget(root, wanted.id)
        raise
    return soak_follow(root, [wanted.id], stdin)


def soak_run(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Be a soak, until it is over."""
    try:
        sampler.carry_out(root, words[0], Machine(root))
    except store.Locked as locked:
        if len(sampler.reader(root, words[0]).more()) == 1:  # it was started in the same instant as the one that runs
            sampler.forget(root, words[0])
        raise StepFailed(str(locked)) from locked
    return 0


def soak_follow(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Print a soak's lines from number words[1] on, as they come, until it has ended or nobody carries it out."""
    reader, skip = sampler.reader(root, words[0]), int(words[1]) if len(words) > 1 else 0
    alive = time.monotonic()
    while True:
        lines = reader.more()
        _tell_all(lines[skip:])
        skip = max(0, skip - len(lines))
        if lines and lines[-1]["kind"] == "finished":
            return 0
        holder = sampler.running(root)
        if lines or (holder and holder.soak == words[0]):
            alive = time.monotonic()
        elif _held(root, words[0]) or time.monotonic() - alive > STARTING:
            return 0
        time.sleep(_GLANCE)


def soak_stop(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Have the running soak end, and print all its lines; nothing when none runs."""
    running = sampler.running(root)
    if not running:
        return 0
    sampler.stop(root, running.soak)
    return soak_follow(root, [running.soak], stdin)


def soak_show(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Print who runs a soak now, and all lines of the newest one so far."""
    tell({"holder": (sampler.running(root) or LockHolder()).as_json()})
    if sampler.last(root):
        _tell_all(sampler.reader(root, sampler.last(root)).more())
    return 0


def go_on(root: Path) -> None:
    """After a boot: carry on with the soak that was cut off by it, if there is one. Raises StepFailed."""
    wanted = sampler.to_go_on(root)
    if wanted:
        # The link that the boot's own unit names leads elsewhere with the next plan.
        detach(root, Path(sys.path[0]).resolve(), wanted)


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


def _held(root: Path, soak_id: str) -> bool:
    """Whether another soak runs; tells who runs it."""
    holder = sampler.running(root)
    if not holder or holder.soak == soak_id:
        return False
    tell({"holder": holder.as_json()})
    return True


def _tell_all(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        tell(line)
