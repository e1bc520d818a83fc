"""The runner's store on the VPS: plans with their journals, shipped files, backups, the lock.

Everything is below one folder (root, 0700):

    lock                     held by flock while a plan runs; has who, what, since when
    runner-<sha256>.pyz      the zipapps that plans were started with; later verbs run them again
    bytecode-<…>.pyz         their copies with bytecode, for each Python that they ran on
    image-versions.json      the servers' versions in images, by the images' identifiers
    maintenance.json         what `edge.maintenance --on` said, while it is on
    files/<sha256>           contents that plans write
    plans/<id>/plan.json     the plan
    plans/<id>/journal.jsonl its journal
    plans/<id>/shown.json    while it runs: what users get at the moment, for those who follow it
    plans/<id>/backups/      what the plan overwrote
    plans/<id>/say           the operator's decision: confirm or revert
    plans/<id>/reserve       space for reverting it on a full disk, while it runs
    soaks/<id>.jsonl         a soak's samples: a journal as well
    soaks/lock               held while a soak runs
    soaks/<id>.stop          there once the operator has ended the soak
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Callable

from . import journal_reader
from .system.deadline import Deadline
from .system.files import put
from .wire import formats, shape
from .wire.store import LockHolder, StoreState

ROOT = Path("/var/lib/islandflow/ops")
ENDINGS = ("done", "nothing", "reverted", "locked")  # outcomes after which a plan needs no intervention
_LOCK_SECONDS = 0.5  # far longer than reading the lock's holder takes


class LockedError(Exception):
    """Another plan runs; `holder` says who, what, since when."""

    def __init__(self, holder: LockHolder) -> None:
        super().__init__(str(holder))
        self.holder = holder


class UnknownPlan(ValueError):
    """No plan has the requested identifier."""


def prepare(root: Path) -> None:
    """Create the runner's folder, readable by root only."""
    for folder in (root, root / "files", root / "plans"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.chmod(0o700)
    # The owner file beside it must be readable by the app's user.
    root.parent.chmod(0o755)


def plan_folder(root: Path, plan_id: str) -> Path:
    """Return the folder of a plan. Raises UnknownPlan for an identifier that is no plain name."""
    if not plan_id or "/" in plan_id or plan_id.startswith("."):
        raise UnknownPlan(f"{plan_id!r} is not a plan's identifier")
    return root / "plans" / plan_id


def existing_plan_folder(root: Path, plan_id: str) -> Path:
    """Return the folder of a shipped plan. Raises UnknownPlan when there is none of that identifier."""
    folder = plan_folder(root, plan_id)
    if not folder.is_dir():
        raise UnknownPlan(f"there is no plan {plan_id}")
    return folder


@contextlib.contextmanager
def lock(root: Path, holder: LockHolder) -> Iterator[None]:
    """Hold the lock. The kernel frees it when the process dies, so it cannot go stale. Raises LockedError."""
    with open(os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        if not _acquire(file):
            raise LockedError(_parse_holder(file.read()))
        file.truncate(0)
        file.write(json.dumps(holder.as_json()))
        file.flush()
        yield


def _acquire(file: IO[str]) -> bool:
    """Acquire the lock; returns whether that succeeded. It retries: reading its holder locks it for an instant."""
    deadline = Deadline(_LOCK_SECONDS)
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if deadline.passed:
                return False
            time.sleep(_LOCK_SECONDS / 100)
        else:
            return True


def lock_holder(root: Path) -> LockHolder | None:
    """Return who holds the lock now; None when nobody does."""
    try:
        with open(root / "lock") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _parse_holder(file.read())
    except FileNotFoundError:
        pass
    return None


def write_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Write a plan, in the codec's form, into its folder. Raises OSError."""
    text = json.dumps({"version": formats.PLAN, **plan})
    put(folder / "plan.json", text.encode(), 0o600, "root", "root")


def read_plan(folder: Path) -> dict[str, Any]:
    """Read a plan. Raises OSError, and ValueError (NewerFormat) for what this version can't read."""
    plan = shape.parse((folder / "plan.json").read_text())
    if not isinstance(plan, dict):
        raise ValueError(f"plan {folder.name} is damaged: plan.json holds no plan")
    formats.require(plan.pop("version", None), formats.PLAN, f"plan {folder.name}")
    return plan


def history(root: Path) -> list[dict[str, Any]]:
    """Return every plan, oldest first: id, name, who, time, outcome, milliseconds, impact on users."""
    plans = []
    for folder in sorted((root / "plans").glob("*/")):
        try:
            events = journal_reader.read_journal(folder)
        except journal_reader.DamagedJournal as damage:
            plans.append(_damaged(folder, str(damage)))
            continue
        if not events:
            continue
        first, last = events[0], events[-1]
        heading, ending = first.get("evidence", {}), last.get("evidence", {})
        plans.append(
            {
                "id": folder.name,
                "plan": heading.get("name", ""),
                "who": heading.get("who", ""),
                "time": first.get("time", ""),
                "outcome": journal_reader.outcome(events),
                "ms": last.get("ms", 0),
                "impact": ending.get("impact", {}),
            }
        )
    return plans


def interrupted_plans(root: Path) -> list[str]:
    """Return the plans that began and have no outcome, oldest first, without those that a newer runner wrote."""
    plans = []
    for folder in sorted((root / "plans").glob("*/")):
        with contextlib.suppress(formats.NewerFormat):
            if _is_left(folder, lambda ending: not ending):
                plans.append(folder.name)
    return plans


def _is_left(folder: Path, counts: Callable[[str], bool]) -> bool:
    """Whether a plan has begun and its outcome `counts`; true where its journal is damaged."""
    try:
        events = journal_reader.read_journal(folder)
    except journal_reader.DamagedJournal:
        return True
    return bool(events) and counts(journal_reader.outcome(events))


def _damaged(folder: Path, why: str) -> dict[str, Any]:
    """A plan in the history of which nothing can be read."""
    return {"id": folder.name, "plan": why, "who": "", "time": "", "outcome": "", "ms": 0, "impact": {}}


def read_state(root: Path) -> StoreState:
    """Return what is in the store: shipped files, zipapps, the lock, plans that have to be reverted."""
    unfinished, last, last_outcome = [], "", ""
    for folder in sorted((root / "plans").glob("*/")):
        try:
            events = journal_reader.read_journal(folder)
        except journal_reader.DamagedJournal:
            last, last_outcome = folder.name, ""
            unfinished.append(folder.name)
            continue
        if events:  # without one it never began
            last, last_outcome = folder.name, journal_reader.outcome(events)
        if events and last_outcome not in ENDINGS:
            unfinished.append(folder.name)
    return StoreState(
        files=tuple(sorted(path.name for path in (root / "files").glob("*"))),
        runners=tuple(sorted(path.name for path in root.glob("runner-*.pyz"))),
        lock=lock_holder(root),
        unfinished=tuple(unfinished),
        last=last,
        last_outcome=last_outcome,
    )


def decide(root: Path, plan_id: str, decision: str) -> None:
    """Store the operator's decision (confirm or revert) for the runner; a revert stands.

    Raises ValueError, OSError.
    """
    if decision not in ("confirm", "revert"):
        raise ValueError(f"{decision!r} is neither confirm nor revert")
    say = existing_plan_folder(root, plan_id) / "say"
    if decision == "confirm" and say.exists() and say.read_text(errors="replace").strip() == "revert":
        return  # another operator's, who may not be watching
    put(say, decision.encode(), 0o600, "root", "root")


def _parse_holder(text: str) -> LockHolder:
    try:
        holder = shape.parse(text)
    except ValueError:  # read between truncate and write
        return LockHolder()
    return LockHolder.of(holder if isinstance(holder, dict) else {})
