"""The runner's verbs, as the operator's machine calls them over SSH and systemd starts them.

Input comes on standard input, output is JSON lines. Exit codes: 0 done; 1 an error, which the last line has.

A verb imports what it alone needs: each process runs only one, and loading all took longer than a survey's facts.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable

from . import journal_reader, plan_secrets, recovery, store
from .facts.gather import gather
from .stdio import ALIVE_SECONDS, emit, store_runner, store_verified
from .system.deadline import Deadline
from .system.machine import POLL_SECONDS, Machine, StepFailed
from .wire import shape
from .wire.codec import decode, decode_as, encode
from .wire.store import LockHolder

if TYPE_CHECKING:
    from .engine import Engine

Events = list[dict[str, Any]]
Verb = Callable[[Path, Sequence[str], "IO[bytes]"], int]

_MAX_START_SECONDS = 30.0  # until a runner that was just started counts as gone
_MAX_QUIET_SECONDS = 5.0  # until one counts as gone that neither holds the lock nor writes events


def survey(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Print the facts that the request on standard input names; changes nothing."""
    request = decode(shape.parse(stdin.readline()))
    emit({"facts": encode(gather(Machine(root), request))})
    return 0


def adopt(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Print what an inventory would be drafted from, as the request on standard input names it; changes nothing."""
    from .adoption.gather import adoption

    request = decode(shape.parse(stdin.readline()))
    emit({"adoption": encode(adoption(Machine(root), request))})
    return 0


def positions(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Read the owner's JetStream for arguments[0] seconds (0: until the caller is gone); prints each observation."""
    from .facts.nats.follow import readings

    ref = decode(shape.parse(stdin.readline()))
    for at, observation in readings(Machine(root), ref, float(arguments[0])):
        emit({"at": round(at, 3), "look": encode(observation)})
    return 0


def log_in(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Log in to NPM's API with the credentials on standard input and print the answer; stores nothing."""
    from .edge import api

    emit(api.token(Machine(root), decode(shape.parse(stdin.readline()))))
    return 0


def ship(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Store a plan, its files, its secrets and this very zipapp, start the plan detached, and follow it."""
    header = shape.parse(stdin.readline())
    store.prepare(root)
    for sha256, size in header["files"].items():
        store_verified(root / "files" / sha256, stdin.read(size), sha256)
    runner = store_runner(root, header["runner"])
    recovery.install(root, runner, Machine(root))
    plan = header["plan"]
    folder = store.plan_folder(root, plan["id"])
    folder.mkdir(mode=0o700)
    store.write_plan(folder, plan)
    plan_secrets.store(plan["id"], header["secrets"])
    try:
        _detach(root, runner, "execute", plan["id"])
    except StepFailed:
        plan_secrets.discard(plan["id"])
        raise
    code = follow(root, [plan["id"]], stdin)
    plan_secrets.discard(plan["id"])
    return code


def execute(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Execute a shipped plan in this process, holding the lock."""
    secrets = plan_secrets.pop(arguments[0])

    def act(engine: Engine, events: Events) -> None:
        if events:  # a second start would overwrite the snapshots that its undo needs
            raise StepFailed(f"plan {arguments[0]} was begun already: it can only be reverted")
        engine.execute()

    return _with_engine(root, arguments[0], act, secrets)


def revert(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Revert an interrupted plan, detached, and follow it. Raises StepFailed when there is nothing to revert."""
    events = journal_reader.read_journal(store.existing_plan_folder(root, arguments[0]))
    _require_unfinished(arguments[0], events)
    holder = store.lock_holder(root)
    if holder:
        raise StepFailed(f"the lock is held: {holder}")
    _detach(root, recovery.last_runner(root), "revert_run", arguments[0])
    return _follow(root, arguments[0], len(events), reverting=True)


def revert_run(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Revert an interrupted plan in this process, holding the lock."""

    def act(engine: Engine, events: Events) -> None:
        _require_unfinished(arguments[0], events)
        engine.revert(events)

    return _with_engine(root, arguments[0], act)


def recover(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """After a boot or a crash: revert every plan whose runner was cut off, and continue a soak.

    Raises StepFailed at the end, for the plans that could not be reverted.
    """
    from .soak import verbs

    recovery.await_boot(Machine(root))
    failures = []
    for plan in store.interrupted_plans(root):
        try:
            revert_run(root, [plan], stdin)
        except (StepFailed, OSError, ValueError, LookupError) as error:  # the other plans do not depend on this one
            failures.append(f"{plan}: {error}")
    verbs.resume(root)
    if failures:
        raise StepFailed("not reverted: " + "; ".join(failures))
    return 0


def follow(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Print a plan's events from number arguments[1] on, as they come, until it is finished."""
    store.existing_plan_folder(root, arguments[0])
    return _follow(root, arguments[0], int(arguments[1]) if len(arguments) > 1 else 0)


def decide(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Store the operator's decision on a plan: confirm or revert."""
    store.decide(root, arguments[0], arguments[1])
    return 0


def history(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Print every plan in one line each, or with an identifier every event of that one."""
    entries = (
        journal_reader.read_journal(store.existing_plan_folder(root, arguments[0]))
        if arguments
        else store.history(root)
    )
    for line in entries:
        emit(line)
    return 0


def park(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Run the process behind a parking lot until the lot is closed."""
    from . import parking_server

    parking_server.serve(Path(arguments[0]))
    return 0


def _of(module: str, name: str) -> Verb:
    def run(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
        verb: Verb = getattr(importlib.import_module(f".{module}", __package__), name)
        return verb(root, arguments, stdin)

    return run


_VERBS = (survey, adopt, positions, log_in, ship, execute, revert, revert_run, recover, follow, decide, history, park)
_ELSEWHERE = {
    "soak.verbs": ("soak_start", "soak_run", "soak_follow", "soak_stop", "soak_show"),
    "seal": ("seal", "unseal"),
    "services.logs": ("logs",),
    "services.command": ("exec_begin", "exec_end"),
}
VERBS: dict[str, Verb] = {verb.__name__: verb for verb in _VERBS}
VERBS |= {name: _of(module, name) for module, names in _ELSEWHERE.items() for name in names}


def main(argv: Sequence[str], stdin: IO[bytes], root: Path = store.ROOT) -> int:
    """Run one verb; an error becomes one JSON line and code 1."""
    try:
        return VERBS[argv[0]](root, argv[1:], stdin)
    except store.UnknownPlan as unknown:  # the caller's mistake, nothing is wrong with the VPS
        emit({"error": str(unknown), "unknown": "plan"})
    except (StepFailed, OSError, ValueError) as error:
        emit({"error": f"{argv[0]}: {error}"})
    except Exception as error:  # noqa: BLE001  a fault of ours: the operator's machine writes the trace to a file
        import traceback

        emit({"error": f"{' '.join(argv[:1])}: {type(error).__name__}: {error}", "trace": traceback.format_exc()})
    return 1


def _require_unfinished(plan_id: str, events: Events) -> None:
    outcome = journal_reader.outcome(events)
    if not events or outcome in store.ENDINGS:
        raise StepFailed(
            f"plan {plan_id} has {'ended: ' + outcome if outcome else 'not begun'}; there is nothing to revert"
        )


def _follow(root: Path, plan_id: str, skip: int, reverting: bool = False) -> int:
    """Print events from number `skip` on until the last one ends the plan; one that is reverted has ended before.

    Where none comes for long, as while a release is built, a line shows that the connection is good.
    """
    from .journal import as_of_now

    reader = journal_reader.Reader(store.plan_folder(root, plan_id))
    first = skip if reverting else 0  # the number of the first event of this run
    count, finished, quiet_since, alive = 0, False, time.monotonic(), Deadline(ALIVE_SECONDS)
    while True:
        events = reader.new_events()
        for event in as_of_now(events)[max(0, skip - count) :]:
            emit(event)
        if events or alive.passed:
            alive = Deadline(ALIVE_SECONDS)
            if not events:
                emit({"alive": True})
        count += len(events)
        finished = events[-1]["kind"] == "finished" if events else finished
        if finished and (count > skip or not reverting):
            return 0
        for event in reader.newly_shown():  # not counted, since no journal has it
            emit(event)
        if events or store.lock_holder(root):
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > (_MAX_QUIET_SECONDS if count > first else _MAX_START_SECONDS):
            if recovery.under_way(Machine(root)):
                quiet_since = time.monotonic()
                continue
            emit({"error": "the runner is gone and the plan is not finished: revert it"})
            return 1
        time.sleep(POLL_SECONDS)


def _with_engine(
    root: Path, plan_id: str, act: Callable[[Engine, Events], None], secrets: dict[str, str] | None = None
) -> int:
    from . import actions  # noqa: F401  a plan names them by their types
    from .engine import Engine, read_decision
    from .journal import Journal
    from .wire.plan import Plan

    folder = store.plan_folder(root, plan_id)
    plan = replace(decode_as(Plan, store.read_plan(folder)), id=plan_id)
    holder = LockHolder(plan.who, plan.name, time.strftime("%Y-%m-%d %H:%M:%S %Z"), plan=plan_id)
    backups = folder / "backups"
    backups.mkdir(mode=0o700, exist_ok=True)
    try:
        with store.lock(root, holder):
            # Read with the lock held, since only its holder writes: nothing is added later.
            events = journal_reader.read_journal(folder)
            with contextlib.closing(Journal(folder / "journal.jsonl", plan_id)) as journal:
                act(Engine(plan, Machine(root, backups, secrets), journal, read_decision(folder)), events)
    except store.LockedError as locked:
        if journal_reader.read_journal(folder):  # another process may be executing it: its journal is not ours to end
            raise StepFailed(str(locked)) from locked
        with contextlib.closing(Journal(folder / "journal.jsonl", plan_id)) as journal:
            journal.write("start", None, name=plan.name, who=plan.who)
            journal.write("finished", None, outcome="locked", holder=locked.holder.as_json())
    return 0


def _detach(root: Path, runner: Path, verb: str, plan_id: str) -> None:
    """Start a verb in a transient unit of its own, which outlives the connection."""
    name = verb.removesuffix("_run")
    Machine(root).run(
        ["systemd-run", "--quiet", "--collect", f"--unit=islandflow-{name}-{plan_id}"]
        + [f"--description=Islandflow {name} {plan_id}", "--property=TimeoutStopSec=5"]
        + [f"--property=OnFailure={recovery.UNIT.name}"]
        + [sys.executable, "-I", str(runner), verb, plan_id]
    )
