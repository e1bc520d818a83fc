"""A soak: looks at the owner's runtime again and again, writes what it sees, and touches nothing else.

It is no plan and holds no plan's lock. Its file is a journal, so that it is on disk line by line; after a crash or a
reboot the file says what was to be looked at and until when, and the same soak goes on in it.
"""

from __future__ import annotations

import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from .. import store
from ..availability import Felt, Watcher
from ..edge.access_log import EdgeLogs
from ..facts.health import healthy, wait_until_healthy
from ..facts.nats.jetstream import locate, read_streams
from ..journal import Journal
from ..system.machine import Machine, StepFailed, said
from ..system.owner import NOBODY, find_owner
from ..wire.app import StreamsRef
from ..wire.codec import decode, encode
from ..wire.facts import Workload
from ..wire.soak import Asked, ConsumerLag, Sample, Soak, WorkloadSample
from ..wire.store import LockHolder
from ..wire.terms import Owner
from .memory import of_groups

SETTLED = 60.0  # seconds that everything has to become healthy after a boot, before that is held against it
PACE = 1.0  # seconds between two requests to one address at the edge: a day of them is no burden
_GLANCE = 0.5  # seconds between two looks for the operator's word
_BOOT = Path("/proc/sys/kernel/random/boot_id")

Events = list[dict[str, Any]]


def folder(root: Path) -> Path:
    """Where soaks are kept."""
    return root / "soaks"


def reader(root: Path, soak_id: str) -> store.Reader:
    """Reads a soak's file as it grows. Raises ValueError for an identifier that is no plain name."""
    store.plan_folder(root, soak_id)
    return store.Reader(folder(root), f"{soak_id}.jsonl")


def last(root: Path) -> str:
    """The identifier of the newest soak; empty when there was none. Identifiers begin with their time."""
    return max((path.stem for path in folder(root).glob("*.jsonl")), default="")


def running(root: Path) -> LockHolder | None:
    """Who runs a soak now; None when nobody does."""
    return store.lock_holder(folder(root))


def begin(root: Path, soak: Soak) -> None:
    """Make the soak's file, with all that it needs to be carried out. Raises StepFailed, OSError."""
    folder(root).mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(Journal(folder(root) / f"{soak.id}.jsonl", soak.id)) as journal:
        journal.write("start", None, who=soak.who, began=time.time(), soak=encode(soak))


def stop(root: Path, soak_id: str) -> None:
    """Leave the word that a soak shall end. Raises OSError."""
    (folder(root) / f"{soak_id}.stop").touch(mode=0o600)


def forget(root: Path, soak_id: str) -> None:
    """Remove a soak that never began."""
    (folder(root) / f"{soak_id}.jsonl").unlink(missing_ok=True)


def to_go_on(root: Path) -> str:
    """The newest soak, if it was cut off and its time has not run out; else empty."""
    events = reader(root, last(root)).more() if last(root) else []
    over = not events or events[-1]["kind"] == "finished" or time.time() >= _until(events)
    return "" if over or running(root) else last(root)


def carry_out(root: Path, soak_id: str, machine: Machine) -> None:
    """Look until the time is over, the operator says so, or another runtime owns. Raises StepFailed, ops.Locked."""
    events = reader(root, soak_id).more()
    if not events or events[-1]["kind"] == "finished":
        raise StepFailed(f"soak {soak_id} has {'ended' if events else 'not begun'}")
    soak: Soak = decode(events[0]["evidence"]["soak"])
    word = folder(root) / f"{soak_id}.stop"
    since = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(events[0]["evidence"]["began"]))
    holder = LockHolder(soak.who, f"a soak of {soak.seconds / 3600:g} h", since, soak=soak_id)
    with store.lock(folder(root), holder), closing(Journal(folder(root) / f"{soak_id}.jsonl", soak_id)) as journal:
        why = _Looker(machine, soak, events).until(_until(events), journal, word)
        journal.write("finished", None, why=why)
    word.unlink(missing_ok=True)


def owner_now(machine: Machine, ref: StreamsRef, problems: list[str]) -> Owner:
    """Who owns now; empty, with the reason added to the problems, when nobody does or that is unknown."""
    try:
        owner = find_owner(machine, Path(ref.owner_file), ref.project)
    except StepFailed as error:
        problems.append(said(error))
        return ""
    problems += [] if owner else [NOBODY]
    return owner


class _Looker:
    """One process's share of a soak: all of it, or what comes after a reboot."""

    def __init__(self, machine: Machine, soak: Soak, before: Events) -> None:
        self._machine = machine
        self._soak = soak
        self._began = float(before[0]["evidence"]["began"])
        owners = [event["evidence"]["sample"]["owner"] for event in before if event["kind"] == "sample"]
        self._owner: Owner = next((owner for owner in owners if owner), "")
        self._felt: dict[str, Felt] = {}

    def until(self, ends: float, journal: Journal, word: Path) -> str:
        """Take samples until `ends` (epoch). Returns why it ended: time, stopped or owner. Raises StepFailed."""
        soak = self._soak
        if self._owner:
            self._settle()
        with closing(EdgeLogs(soak.edge)) as logs, Watcher(soak.watch, journal, PACE) as watcher:
            while True:
                now = time.time()
                sample = self._sample(now, watcher, logs)
                # A disk that is full now has space again later: then all that is owed is written.
                journal.note("sample", None, sample=encode(sample))
                self._owner = self._owner or sample.owner
                if sample.owner and sample.owner != self._owner:
                    return "owner"
                if now >= ends:
                    return "time"
                if self._rested(min(ends, self._next()), word):
                    return "stopped"

    def _settle(self) -> None:
        """After a boot: wait for what is starting."""
        with suppress(StepFailed):  # the first sample will tell
            wait_until_healthy(self._machine, self._chosen(self._owner), SETTLED)

    def _next(self) -> float:
        """When the next sample is due (epoch): at a whole number of intervals, so that slow looks add up to nothing."""
        every = self._soak.every
        return self._began + every * (1 + (time.time() - self._began) // every)

    def _rested(self, due: float, word: Path) -> bool:
        """Wait until `due` (epoch). True when the operator has said meanwhile that it shall end."""
        while not word.exists():
            left = due - time.time()
            if left <= 0:
                return False
            time.sleep(min(left, _GLANCE))
        return True

    def _sample(self, now: float, watcher: Watcher, logs: EdgeLogs) -> Sample:
        problems: list[str] = []
        owner = owner_now(self._machine, self._soak.streams, problems)
        workloads = self._pulses(owner or self._owner, problems)
        return Sample(
            at=round(now - self._began, 1),
            owner=owner,
            boot=_BOOT.read_text().strip(),
            workloads=workloads,
            durables=self._lags(problems),
            edge=self._asked(watcher),
            served=logs.new_counts(),
            problems=tuple(problems),
        )

    def _pulses(self, owner: Owner, problems: list[str]) -> dict[str, WorkloadSample]:
        chosen = self._chosen(owner)
        try:
            verdicts = [(w.name, health) for w, health in zip(chosen, healthy(self._machine, chosen).values())]
        except (OSError, ValueError, StepFailed) as error:
            problems.append(f"health: {said(error)}")
            return {}
        held = of_groups(health.pid for _, health in verdicts)
        return {
            name: WorkloadSample(
                health.ok,
                health.text,
                health.pid,
                health.restarts,
                held.get(health.pid),
            )
            for name, health in verdicts
        }

    def _chosen(self, owner: Owner) -> list[Workload]:
        return [workload for workload in self._soak.workloads if workload.runtime == owner]

    def _lags(self, problems: list[str]) -> dict[str, ConsumerLag]:
        """Of the app's own durables: somebody else's, or one that is left over, is nobody's lag."""
        ours = {durable for workload in self._soak.workloads for durable in workload.durables}
        try:
            runtime, address = locate(self._machine, self._soak.streams)
            streams = read_streams(address, self._soak.streams.nats[runtime])
        except (OSError, ValueError, StepFailed) as error:
            problems.append(f"JetStream: {said(error)}")
            return {}
        found = [item for stream in streams.values() for item in stream.consumers.items() if item[0] in ours]
        return {name: ConsumerLag(c.pending, c.unacknowledged, c.redelivered) for name, c in found}

    def _asked(self, watcher: Watcher) -> dict[str, Asked]:
        """What the watcher counted since the sample before."""
        former, self._felt = self._felt, watcher.felt()
        counted = {name: (felt["requests"], felt["failures"]) for name, felt in former.items()}
        added = {}
        for name, felt in self._felt.items():
            requests, failures = counted.get(name, (0, 0))
            added[name] = Asked(felt["requests"] - requests, felt["failures"] - failures)
        return added


def _until(events: Events) -> float:
    """When the soak is over (epoch)."""
    evidence = events[0]["evidence"]
    return float(evidence["began"] + evidence["soak"]["seconds"])
