"""Runs a soak: samples the owner's runtime at intervals, journals the samples, and changes nothing.

It is no plan and holds no plan's lock. Its file is a journal, so that it is on disk line by line; after a crash or a
reboot the file has what is sampled and until when, and the same soak goes on in it.
"""

from __future__ import annotations

import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from .. import journal_reader, store
from ..availability import Watcher
from ..edge.access_log import EdgeLogs
from ..facts.health import healthy, wait_until_healthy
from ..facts.nats.jetstream import locate, read_streams
from ..facts.usage.memory import memory_of
from ..journal import Journal
from ..system.machine import Machine, StepFailed, failure_detail
from ..system.owner import NOBODY, find_owner
from ..wire.app import StreamsRef
from ..wire.codec import decode_as, encode
from ..wire.events import Measured
from ..wire.facts import Workload
from ..wire.soak import Asked, ConsumerLag, Sample, Soak, WorkloadSample
from ..wire.store import LockHolder
from ..wire.terms import Owner, runtime_named

SETTLE_SECONDS = 60.0  # for everything to become healthy after a boot, before the next sample counts
REQUEST_INTERVAL_SECONDS = 1.0  # between two requests to one address at the edge: a day of them is no burden
_POLL_SECONDS = 0.5  # between two checks whether the operator has ended the soak
_BOOT = Path("/proc/sys/kernel/random/boot_id")

Events = list[dict[str, Any]]


def folder(root: Path) -> Path:
    """Return the folder of all soaks."""
    return root / "soaks"


def reader(root: Path, soak_id: str) -> journal_reader.Reader:
    """Return a reader of a soak's file as it grows. Raises ValueError for an identifier that is no plain name."""
    store.plan_folder(root, soak_id)
    return journal_reader.Reader(folder(root), f"{soak_id}.jsonl")


def last(root: Path) -> str:
    """Return the identifier of the newest soak; empty when there is none. Identifiers begin with their time."""
    return max((path.stem for path in folder(root).glob("*.jsonl")), default="")


def running(root: Path) -> LockHolder | None:
    """Return who runs a soak now; None when nobody does."""
    return store.lock_holder(folder(root))


def begin(root: Path, soak: Soak) -> None:
    """Create the soak's file, with all that it needs to run. Raises StepFailed, OSError."""
    folder(root).mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(Journal(folder(root) / f"{soak.id}.jsonl", soak.id)) as journal:
        journal.write("start", None, who=soak.who, began=time.time(), soak=encode(soak))


def stop(root: Path, soak_id: str) -> None:
    """End a running soak. Raises OSError."""
    (folder(root) / f"{soak_id}.stop").touch(mode=0o600)


def discard(root: Path, soak_id: str) -> None:
    """Remove a soak that never began."""
    (folder(root) / f"{soak_id}.jsonl").unlink(missing_ok=True)


def resumable(root: Path) -> str:
    """Return the newest soak if it was cut off and its time is not over; else empty."""
    try:
        events = reader(root, last(root)).new_events() if last(root) else []
        finished = not events or events[-1]["kind"] == "finished" or time.time() >= _until(events)
    except ValueError:  # what is damaged can't go on
        return ""
    return "" if finished or running(root) else last(root)


def run(root: Path, soak_id: str, machine: Machine) -> None:
    """Sample until the time is over, the operator ends it, or another runtime owns. Raises StepFailed, LockedError."""
    events = reader(root, soak_id).new_events()
    if not events or events[-1]["kind"] == "finished":
        raise StepFailed(f"soak {soak_id} has {'ended' if events else 'not begun'}")
    soak, began = _request(events)
    stop_file = folder(root) / f"{soak_id}.stop"
    since = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(began))
    holder = LockHolder(soak.who, f"a soak of {soak.seconds / 3600:g} h", since, soak=soak_id)
    with store.lock(folder(root), holder), closing(Journal(folder(root) / f"{soak_id}.jsonl", soak_id)) as journal:
        why = _Sampler(machine, soak, events).until(_until(events), journal, stop_file)
        journal.write("finished", None, why=why)
    stop_file.unlink(missing_ok=True)


def owner_now(machine: Machine, ref: StreamsRef, problems: list[str]) -> Owner:
    """Return the owner; empty, with the reason added to the problems, when nobody owns or that is unknown."""
    try:
        owner = find_owner(machine, Path(ref.owner_file), ref.project)
    except StepFailed as error:
        problems.append(failure_detail(error))
        return ""
    problems += [] if owner else [NOBODY]
    return owner


class _Sampler:
    """Takes one process's samples of a soak: all of them, or those after a reboot."""

    def __init__(self, machine: Machine, soak: Soak, before: Events) -> None:
        self._machine = machine
        self._soak = soak
        _, self._began = _request(before)
        samples = [event.get("evidence", {}).get("sample") for event in before if event["kind"] == "sample"]
        owners = [runtime_named(str(sample.get("owner"))) for sample in samples if isinstance(sample, dict)]
        self._owner: Owner = next((owner for owner in owners if owner), "")
        self._impact: dict[str, Measured] = {}

    def until(self, end: float, journal: Journal, stop_file: Path) -> str:
        """Take samples until `end` (epoch). Returns why it ended: time, stopped or owner. Raises StepFailed."""
        soak = self._soak
        if self._owner:
            self._settle()
        with closing(EdgeLogs(soak.edge)) as logs, Watcher(soak.watch, journal, REQUEST_INTERVAL_SECONDS) as watcher:
            while True:
                now = time.time()
                sample = self._sample(now, watcher, logs)
                # A disk that is full now may have space later: then the pending lines are written.
                journal.try_write("sample", None, sample=encode(sample))
                self._owner = self._owner or sample.owner
                if sample.owner and sample.owner != self._owner:
                    return "owner"
                if now >= end:
                    return "time"
                if self._stopped_before(min(end, self._next_due()), stop_file):
                    return "stopped"

    def _settle(self) -> None:
        """Wait after a boot until everything is healthy."""
        with suppress(StepFailed):  # the first sample has the reason
            wait_until_healthy(self._machine, self._workloads_of(self._owner), SETTLE_SECONDS)

    def _next_due(self) -> float:
        """Return when the next sample is due (epoch): at a whole number of intervals, so that delays don't add up."""
        every = self._soak.every
        return self._began + every * (1 + (time.time() - self._began) // every)

    def _stopped_before(self, due: float, stop_file: Path) -> bool:
        """Wait until `due` (epoch); returns whether the operator has ended the soak meanwhile."""
        while not stop_file.exists():
            left = due - time.time()
            if left <= 0:
                return False
            time.sleep(min(left, _POLL_SECONDS))
        return True

    def _sample(self, now: float, watcher: Watcher, logs: EdgeLogs) -> Sample:
        problems: list[str] = []
        owner = owner_now(self._machine, self._soak.streams, problems)
        workloads = self._workload_samples(owner or self._owner, problems)
        return Sample(
            at=round(now - self._began, 1),
            owner=owner,
            boot=_BOOT.read_text().strip(),
            workloads=workloads,
            durables=self._lags(problems),
            edge=self._probe_counts(watcher),
            served=logs.new_counts(),
            problems=tuple(problems),
        )

    def _workload_samples(self, owner: Owner, problems: list[str]) -> dict[str, WorkloadSample]:
        workloads = self._workloads_of(owner)
        try:
            results = [(w.name, health) for w, health in zip(workloads, healthy(self._machine, workloads).values())]
        except (OSError, ValueError, StepFailed) as error:
            problems.append(f"health: {failure_detail(error)}")
            return {}
        memory = memory_of(health.pid for _, health in results)
        return {
            name: WorkloadSample(
                health.ok,
                health.text,
                health.pid,
                health.restarts,
                memory.get(health.pid),
            )
            for name, health in results
        }

    def _workloads_of(self, owner: Owner) -> list[Workload]:
        return [workload for workload in self._soak.workloads if workload.runtime == owner]

    def _lags(self, problems: list[str]) -> dict[str, ConsumerLag]:
        """Return the lag of the app's own durables: another's, or one that is left over, does not count."""
        ours = {durable for workload in self._soak.workloads for durable in workload.durables}
        try:
            runtime, address = locate(self._machine, self._soak.streams)
            streams = read_streams(address, self._soak.streams.nats[runtime])
        except (OSError, ValueError, StepFailed) as error:
            problems.append(f"JetStream: {failure_detail(error)}")
            return {}
        consumers = [item for stream in streams.values() for item in stream.consumers.items() if item[0] in ours]
        return {name: ConsumerLag(c.pending, c.unacknowledged, c.redelivered) for name, c in consumers}

    def _probe_counts(self, watcher: Watcher) -> dict[str, Asked]:
        """Return the watcher's counts since the sample before."""
        former_impact, self._impact = self._impact, watcher.impact()
        former_counts = {name: (impact["requests"], impact["failures"]) for name, impact in former_impact.items()}
        counts = {}
        for name, impact in self._impact.items():
            requests, failures = former_counts.get(name, (0, 0))
            counts[name] = Asked(impact["requests"] - requests, impact["failures"] - failures)
        return counts


def _until(events: Events) -> float:
    """Return when the soak is over (epoch)."""
    soak, began = _request(events)
    return began + soak.seconds


def _request(events: Events) -> tuple[Soak, float]:
    """Return what a soak samples, and when it began (epoch). Raises ValueError where its file does not say so."""
    evidence = events[0].get("evidence", {})
    began = evidence.get("began")
    if not isinstance(began, (int, float)):
        raise ValueError(f"the file of the soak {events[0].get('plan', '')} is damaged: it does not say when it began")
    return decode_as(Soak, evidence.get("soak")), float(began)
