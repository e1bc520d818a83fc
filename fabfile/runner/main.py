"""The runner's verbs, as the operator's machine calls them over SSH and systemd starts them.

Input comes on standard input, output is JSON lines. Codes: 0 said and done; 1 an error that a line tells.

A verb imports what it alone needs: each process has only one, and loading all took longer than a survey's look.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable

from . import plan_secrets, recovery, store
from .facts.gather import gather
from .stdio import keep, keep_runner, tell
from .system.machine import POLL_SECONDS, Machine, StepFailed
from .wire.codec import decode, encode
from .wire.store import LockHolder

if TYPE_CHECKING:
    from .engine import Engine

Events = list[dict[str, Any]]
Verb = Callable[[Path, Sequence[str], "IO[bytes]"], int]

_STARTING = 30.0  # seconds until a runner that was just started is given up
_QUIET = 5.0  # seconds after which one that held the lock no more is


def survey(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Facts about the VPS, as the request on standard input wants them; changes nothing."""
    wanted = decode(json.loads(stdin.readline()))
    tell({"facts": encode(gather(Machine(root), wanted))})
    return 0


def adopt(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """What is on the VPS that an inventory would say, as the request on standard input wants it; changes nothing."""
    from .adoption.gather import adoption

    wanted = decode(json.loads(stdin.readline()))
    tell({"adoption": encode(adoption(Machine(root), wanted))})
    return 0


def positions(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Look at the owner's JetStream for words[0] seconds (0: until the caller is gone), a line for each look."""
    from .facts.nats.follow import readings

    ref = decode(json.loads(stdin.readline()))
    for at, look in readings(Machine(root), ref, float(words[0])):
        tell({"at": round(at, 3), "look": encode(look)})
    return 0


def log_in(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Log in to NPM's API as standard input says, and tell what it answers; keeps nothing."""
    from .edge import api

    tell(api.token(Machine(root), decode(json.loads(stdin.readline()))))
    return 0


def ship(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Take a plan, its files, its secrets and this very zipapp, start the plan detached, and follow it."""
    header = json.loads(stdin.readline())
    store.prepare(root)
    for sha256, size in header["files"].items():
        keep(root / "files" / sha256, stdin.read(size), sha256)
    runner = keep_runner(root, header["runner"])
    recovery.install(root, runner, Machine(root))
    plan = header["plan"]
    folder = store.plan_folder(root, plan["id"])
    folder.mkdir(mode=0o700)
    store.keep_plan(folder, plan)
    plan_secrets.leave(plan["id"], header["secrets"])
    try:
        _detach(root, runner, "execute", plan["id"])
    except StepFailed:
        plan_secrets.discard(plan["id"])
        raise
    code = follow(root, [plan["id"]], stdin)
    plan_secrets.discard(plan["id"])
    return code


def execute(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Carry out a shipped plan in this process, holding the lock."""
    secrets = plan_secrets.take(words[0])

    def act(engine: Engine, events: Events) -> None:
        if events:  # what it found before would be overwritten, and with it the way back
            raise StepFailed(f"plan {words[0]} was begun already: it can only be reverted")
        engine.execute()

    return _with_engine(root, words[0], act, secrets)


def revert(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Revert an interrupted plan, detached, and follow it. Raises StepFailed when there is nothing to revert."""
    events = store.read_journal(store.known_plan(root, words[0]))
    _require_unfinished(words[0], events)
    holder = store.lock_holder(root)
    if holder:
        raise StepFailed(f"the lock is held: {holder}")
    runner = sorted(root.glob("runner-*.pyz"), key=lambda path: path.stat().st_mtime)[-1]
    _detach(root, runner, "revert_run", words[0])
    return _follow(root, words[0], len(events), reverting=True)


def revert_run(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Revert an interrupted plan in this process, holding the lock."""

    def act(engine: Engine, events: Events) -> None:
        _require_unfinished(words[0], events)
        engine.revert(events)

    return _with_engine(root, words[0], act)


def recover(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """After a boot or a crash: revert every plan whose runner was cut off, and continue a soak.

    Raises StepFailed at the end, for the plans that could not be reverted.
    """
    from .soak import verbs

    recovery.await_boot(Machine(root))
    failures = []
    for plan in store.interrupted(root):
        try:
            revert_run(root, [plan], stdin)
        except (StepFailed, OSError, ValueError, LookupError) as error:  # the other plans do not depend on this one
            failures.append(f"{plan}: {error}")
    verbs.go_on(root)
    if failures:
        raise StepFailed("not reverted: " + "; ".join(failures))
    return 0


def follow(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Print a plan's events from number words[1] on, as they come, until it is finished."""
    store.known_plan(root, words[0])
    return _follow(root, words[0], int(words[1]) if len(words) > 1 else 0)


def say(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Pass on the operator's word on a plan: confirm or revert."""
    store.say(root, words[0], words[1])
    return 0


def history(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Every plan in one line each, or with an identifier every event of that one."""
    entries = store.read_journal(store.known_plan(root, words[0])) if words else store.history(root)
    for line in entries:
        tell(line)
    return 0


def park(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
    """Be the process behind a parking lot, until that is closed."""
    from . import parking_server

    parking_server.serve(Path(words[0]))
    return 0


def _of_soak(name: str) -> Verb:
    def run(root: Path, words: Sequence[str], stdin: IO[bytes]) -> int:
        from .soak import verbs

        verb: Verb = getattr(verbs, name)
        return verb(root, words, stdin)

    return run


_VERBS = (
    survey,
    adopt,
    positions,
    log_in,
    ship,
    execute,
    revert,
    revert_run,
    recover,
    follow,
    say,
    history,
    park,
)
_SOAK = ("soak_start", "soak_run", "soak_follow", "soak_stop", "soak_show")
VERBS: dict[str, Verb] = {verb.__name__: verb for verb in _VERBS} | {name: _of_soak(name) for name in _SOAK}


def main(argv: Sequence[str], stdin: IO[bytes], root: Path = store.ROOT) -> int:
    """Run one verb; an error becomes one JSON line and code 1."""
    try:
        return VERBS[argv[0]](root, argv[1:], stdin)
    except store.UnknownPlan as unknown:  # whoever asked made a mistake, not the VPS
        tell({"error": str(unknown), "unknown": "plan"})
    except (StepFailed, OSError, ValueError) as error:
        tell({"error": f"{argv[0]}: {error}"})
    except Exception as error:  # noqa: BLE001  a fault of ours: whoever called writes the trace to a file
        import traceback

        tell({"error": f"{' '.join(argv[:1])}: {type(error).__name__}: {error}", "trace": traceback.format_exc()})
    return 1


def _require_unfinished(plan_id: str, events: Events) -> None:
    ended = store.outcome(events)
    if not events or ended in store.ENDINGS:
        raise StepFailed(
            f"plan {plan_id} has {'ended: ' + ended if ended else 'not begun'}; there is nothing to revert"
        )


def _follow(root: Path, plan_id: str, known: int, reverting: bool = False) -> int:
    """Print events from number `told` on until the last one ends the plan; one that is reverted has ended before."""
    reader = store.Reader(store.plan_folder(root, plan_id))
    seen, ended, quiet_since = 0, False, time.monotonic()
    while True:
        events = reader.more()
        for event in _with_decisions(events)[max(0, known - seen) :]:
            tell(event)
        seen += len(events)
        ended = events[-1]["kind"] == "finished" if events else ended
        if ended and (seen > known or not reverting):
            return 0
        if events or store.lock_holder(root):
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > (_QUIET if seen > (known if reverting else 0) else _STARTING):
            if recovery.under_way(Machine(root)):
                quiet_since = time.monotonic()
                continue
            tell({"error": "the runner is gone and the plan is not finished"})
            return 1
        time.sleep(POLL_SECONDS)


def _with_decisions(events: Events) -> Events:
    """The events, such that one that waits for a decision says if it waits no longer: another kind came after it."""
    since = [event["kind"] != "outage" for event in events]  # what users feel is journaled while it waits, too
    return [
        _decided(event) if event["kind"] == "waiting" and any(since[number + 1 :]) else event
        for number, event in enumerate(events)
    ]


def _decided(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "evidence": {**event["evidence"], "decided": True}}


def _with_engine(
    root: Path, plan_id: str, act: Callable[[Engine, Events], None], secrets: dict[str, str] | None = None
) -> int:
    from . import actions  # noqa: F401  a plan names them by their types
    from .engine import Engine, read_decision
    from .journal import Journal
    from .wire.plan import Plan

    folder = store.plan_folder(root, plan_id)
    plan: Plan = replace(decode(store.read_plan(folder)), id=plan_id)
    holder = LockHolder(plan.who, plan.name, time.strftime("%Y-%m-%d %H:%M:%S %Z"), plan=plan_id)
    backups = folder / "backups"
    backups.mkdir(mode=0o700, exist_ok=True)
    try:
        with store.lock(root, holder):
            # Read with the lock held, so that it is the end of the story; and only its holder writes.
            events = store.read_journal(folder)
            with contextlib.closing(Journal(folder / "journal.jsonl", plan_id)) as journal:
                act(Engine(plan, Machine(root, backups, secrets), journal, read_decision(folder)), events)
    except store.Locked as locked:
        if store.read_journal(folder):  # of a plan that is under way, perhaps: not ours to end
            raise StepFailed(str(locked)) from locked
        with contextlib.closing(Journal(folder / "journal.jsonl", plan_id)) as journal:
            journal.write("start", None, name=plan.name, who=plan.who)
            journal.write("finished", None, outcome="locked", holder=locked.holder.as_json())
    return 0


def _detach(root: Path, runner: Path, verb: str, plan_id: str) -> None:
    """Start a verb in a transient unit of its own: it outlives the connection that asked for it."""
    name = verb.removesuffix("_run")
    Machine(root).run(
        ["systemd-run", "--quiet", "--collect", f"--unit=islandflow-{name}-{plan_id}"]
        + [f"--description=Islandflow {name} {plan_id}", "--property=TimeoutStopSec=5"]
        + [f"--property=OnFailure={recovery.UNIT.name}"]
        + [sys.executable, "-I", str(runner), verb, plan_id]
    )
