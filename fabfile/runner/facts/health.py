"""The one definition of healthy: every check, plan and status uses it and shows its evidence.

A workload is healthy when its unit or container runs and is not restarting, its own process holds its port,
it answers, and every durable consumer that belongs to it is bound. No part can be left out: a crash-looping unit is
"active" between crashes, a foreign process may answer on the port, and an API whose consumers a second owner has
bound still answers "ok" while it receives nothing.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..system import docker, procs, sockets, systemd
from ..system.machine import Machine, Observation, StepFailed
from ..system.polling import GLANCE_SECONDS, Attempt, Poller
from ..wire.facts import Container, Health, Listener, Unit, Workload
from .nats.bound import Durables
from .nats.fetching import LOOK_SECONDS
from .nats.jetstream import address_of, durables_of, read_streams
from .servers import TIMEOUT_SECONDS, probe

Containers = Mapping[str, Mapping[str, Container]]  # project → service → container

SETTLE_SECONDS = 0.4  # in which a healthy process must stay the same one
STEADY_SECONDS = 10.0  # for which a process runs, at the least, that is in no loop although it has restarted
MAX_RESTARTS = 5  # so many are a loop, which waiting does not end


@dataclass(frozen=True)
class _Snapshot:
    """The state of units, containers and sockets at one moment, read once for all workloads."""

    units: dict[tuple[str, str], Unit]
    containers: dict[tuple[str, str], Container]
    listeners: tuple[Listener, ...]


@dataclass(frozen=True)
class _Candidate:
    """What systemd or Docker say of a workload, before any request to it; `key` identifies its process."""

    workload: Workload
    problems: list[str]
    health: Health  # what systemd or Docker say of it
    key: str

    @property
    def needs_durables(self) -> bool:
        return not self.problems and bool(self.workload.durables)


def healthy(
    machine: Machine, workloads: Sequence[Workload], settle: float = 0.0, poller: Poller | None = None
) -> dict[str, Health]:
    """One verdict for each workload, keyed "runtime/name".

    With `settle` (seconds) a workload that looks healthy must have been the same process for so long: one check
    cannot distinguish a crash loop from a start. A younger process is checked again at that age, since requests may
    wait. A `poller` that is passed from check to check keeps the answers of each process, and its open requests.
    """
    first = _snapshot(machine, workloads)
    verdicts = _verdicts(first, workloads, poller)
    missing = settle - min((_age(_process_identity(first, workload)[0]) for workload in workloads), default=settle)
    if missing > 0 and all(verdict.ok for verdict in verdicts.values()):
        time.sleep(missing)
        second = _snapshot(machine, workloads)
        for workload in workloads:
            change = _restarted(_process_identity(first, workload), _process_identity(second, workload))
            if change:
                key = f"{workload.runtime}/{workload.name}"
                verdicts[key] = replace(verdicts[key], ok=False, text=change, permanent=False)
    return verdicts


def running(machine: Machine, workloads: Sequence[Workload]) -> dict[str, Health]:
    """One verdict for each workload: whether it runs and holds its port, if it has one; no server is probed."""
    snapshot = _snapshot(machine, workloads)
    # Docker's own health check would be more than that.
    containers = {key: replace(container, health="") for key, container in snapshot.containers.items()}
    reduced = [replace(workload, protocol="", durables=()) for workload in workloads]
    return _verdicts(replace(snapshot, containers=containers), reduced, None)


def healthy_now(machine: Machine, workloads: Sequence[Workload], containers: Containers) -> dict[str, Health]:
    """As `healthy`, checked once: what has restarted by itself must have run for some seconds since.

    `containers` were read just now, by project, and are not read again.

    Raises StepFailed where systemd, or Docker of another project, does not answer.
    """
    return _without_loops(_verdicts(_snapshot(machine, workloads, containers), workloads, None))


def wait_until_healthy(machine: Machine, workloads: Sequence[Workload], seconds: float) -> dict[str, Health]:
    """As `healthy`, repeated until all are, or one will not become so by waiting, or `seconds` have passed.

    Without `seconds` it is one look, as that of `healthy_now`.
    """
    last: dict[str, Health] = {}
    poller = Poller(seconds) if seconds else None

    def observe() -> Observation:
        last.update(healthy(machine, workloads, SETTLE_SECONDS if seconds else 0.0, poller))
        return observation_of(last)

    machine.wait(observe, seconds)
    return last if seconds else _without_loops(last)


def wait_until_settled(machine: Machine, workloads: Sequence[Workload], seconds: float) -> dict[str, Health]:
    """As `healthy`, repeated while one is still starting, as after a reboot, until `seconds` have passed."""
    last: dict[str, Health] = {}
    poller = Poller(seconds) if seconds else None

    def observe() -> Observation:
        last.update(healthy(machine, workloads, poller=poller))
        return Observation(all(verdict.ok or verdict.permanent for verdict in last.values()), "")

    machine.wait(observe, seconds)
    return last


def observation_of(verdicts: dict[str, Health]) -> Observation:
    """All verdicts as one observation."""
    sick = [verdict for verdict in verdicts.values() if not verdict.ok]
    text = "; ".join(f"{v.name}: {v.text}" for v in sick) or f"{len(verdicts)} healthy"
    data = {key: verdict.text for key, verdict in verdicts.items()}
    return Observation(not sick, text, data, permanent=any(verdict.permanent for verdict in sick))


def _without_loops(verdicts: dict[str, Health]) -> dict[str, Health]:
    """The verdicts of a single look, which may have come between two crashes: what restarts by itself is not well."""
    return {key: _unless_looping(v) if v.ok and v.restarts else v for key, v in verdicts.items()}


def _unless_looping(verdict: Health) -> Health:
    age = _age(verdict.pid)
    text = f"has restarted by itself ({verdict.restarts} restarts), {age:.0f} s ago for the last time"
    return verdict if age >= STEADY_SECONDS else replace(verdict, ok=False, text=text)


def _snapshot(machine: Machine, workloads: Sequence[Workload], read: Containers | None = None) -> _Snapshot:
    native = [w for w in workloads if w.runtime == "native"]
    units: dict[tuple[str, str], Unit] = {}
    for user in {w.user for w in native}:
        names = [w.unit for w in native if w.user == user]
        units.update({(user, name): unit for name, unit in systemd.show(machine, names, user).items()})
    containers: dict[tuple[str, str], Container] = {}
    for project in {w.project for w in workloads if w.runtime == "docker"}:
        of_project = read[project] if read and project in read else docker.containers(machine, project)
        containers.update({(project, service): container for service, container in of_project.items()})
    return _Snapshot(units, containers, sockets.listeners([w.port for w in native if w.port]))


def _process_identity(snapshot: _Snapshot, workload: Workload) -> tuple[int, int]:
    """Main process and restart counter: what a restart changes."""
    if workload.runtime == "native":
        unit = snapshot.units[(workload.user, workload.unit)]
        return unit.pid, unit.restarts
    container = snapshot.containers.get((workload.project, workload.name))
    return (container.pid, container.restarts) if container else (0, 0)


def _age(pid: int) -> float:
    """For how long a process has run, in seconds; 0 when it is gone."""
    process = procs.process(pid)
    return process.age if process else 0.0


def _restarted(first: tuple[int, int], second: tuple[int, int]) -> str:
    if first == second:
        return ""
    return f"is restarting: process {first[0]} became {second[0]} (restarts {first[1]} → {second[1]})"


def _verdicts(snapshot: _Snapshot, workloads: Sequence[Workload], poller: Poller | None) -> dict[str, Health]:
    """The verdicts by "runtime/name"; servers are probed side by side. Without a poller it waits for all answers."""
    once, seconds = poller is None, GLANCE_SECONDS if poller else TIMEOUT_SECONDS
    poller = poller or Poller(seconds)
    candidates: dict[str, _Candidate] = {}
    probes: dict[str, Attempt] = {}
    for workload in workloads:
        problems, address, health = (_native if workload.runtime == "native" else _docker)(snapshot, workload)
        # A process that has answered well once is not probed again; another one in its place is.
        key = f"{workload.runtime}/{workload.name} {_process_identity(snapshot, workload)}"
        candidates[f"{workload.runtime}/{workload.name}"] = _Candidate(workload, problems, health, key)
        if not problems and workload.protocol:
            target = (workload.protocol, address, workload.port, workload.path)
            probes[key] = functools.partial(probe, *target, environment=workload.environment)
    answered = poller.poll(probes, seconds)
    durables: dict[str, Durables] = {}
    for runtime in {workload.runtime for workload in workloads}:
        needing = [c for c in candidates.values() if c.workload.runtime == runtime and c.needs_durables]
        durables[runtime] = _durables(snapshot, needing, poller.shown, once) if needing else Durables()
    return {
        name: _verdict(item, answered.get(item.key), durables[item.workload.runtime])
        for name, item in candidates.items()
    }


def _verdict(candidate: _Candidate, answer: Observation | None, durables: Durables) -> Health:
    workload, problems, health = candidate.workload, list(candidate.problems), candidate.health
    if answer is not None:
        health = replace(health, answer=answer.text, answered=answer.ok)
        problems += [] if answer.ok else [answer.text]
    if candidate.needs_durables:
        problem = durables.problem_of(workload.durables)
        problems += [problem] if problem else []
    return replace(health, ok=not problems, text="; ".join(problems) or "healthy")


def _native(snapshot: _Snapshot, workload: Workload) -> tuple[list[str], str, Health]:
    """Problems of its unit, the address where it listens, and its state in systemd."""
    unit = snapshot.units[(workload.user, workload.unit)]
    state = f"{unit.active}/{unit.sub}"
    health = Health(workload.name, workload.runtime, False, "", state, unit.pid, unit.restarts)
    if not unit.running:
        health = replace(health, permanent=unit.active in ("inactive", "failed") or unit.restarts >= MAX_RESTARTS)
        return [f"unit {unit.name} is {unit.active}/{unit.sub}" + _result_detail(unit)], "", health
    if not workload.port:
        return [], "", health
    listeners = [item for item in snapshot.listeners if item.port == workload.port]
    if not listeners:
        return [f"nothing listens on port {workload.port}"], "", health
    # Both are paths below the same control-group root; a foreign process is in another branch.
    own_listeners = [item for item in listeners if unit.cgroup and (item.cgroup + "/").startswith(unit.cgroup + "/")]
    if not own_listeners:
        other = listeners[0]
        return (
            [f"port {workload.port} is held by {other.command or '?'} (pid {other.pid}), not by the unit"],
            "",
            health,
        )
    return [], sockets.reachable(own_listeners[0].address), health


def _result_detail(unit: Unit) -> str:
    if unit.load == "not-found":
        return " (not installed)"
    return f" ({unit.result}, {unit.restarts} restarts)" if unit.result not in ("", "success") else ""


def _docker(snapshot: _Snapshot, workload: Workload) -> tuple[list[str], str, Health]:
    """Problems of its container, the address where it listens, and its state in Docker."""
    container = snapshot.containers.get((workload.project, workload.name))
    if container is None:
        return ["there is no container"], "", Health(workload.name, workload.runtime, False, "", permanent=True)
    state, pid, restarts = container.state, container.pid, container.restarts
    health = Health(workload.name, workload.runtime, False, "", state, pid, restarts)
    if not container.running:
        health = replace(health, permanent=state != "restarting" or restarts >= MAX_RESTARTS)
        return [f"container is {container.state}"], "", health
    # Docker runs its own check every few seconds; until its first verdict ours below are the stricter ones.
    if container.health == "unhealthy":
        return ["container's health check says unhealthy"], "", health
    if workload.port and workload.port not in sockets.listening_ports(container.pid):
        return [f"nothing in the container listens on port {workload.port}"], "", health
    if workload.port and not container.address:
        return ["the container is on no network"], "", health
    return [], container.address, health


def _durables(snapshot: _Snapshot, needing: Sequence[_Candidate], shown: set[tuple[str, str]], once: bool) -> Durables:
    """All durables of a runtime, read once for those of its workloads that need some. Never raises.

    From a pull consumer a client fetches when it likes. A check that is made `once` watches for as long as suits the
    consumer; one of many watches for a moment, and what a process has `shown` to be fetched from counts in the next.
    """
    workload = needing[0].workload
    assert workload.nats is not None
    own = {(candidate.key, name) for candidate in needing for name in candidate.workload.durables}
    awaited = {name for _, name in own - shown}
    try:
        address = _nats_address(snapshot, workload)
        known = durables_of(read_streams(address, workload.nats, awaited, seconds=0.0 if once else LOOK_SECONDS))
    except (OSError, ValueError, StepFailed) as error:
        return Durables(problem=str(error))
    shown |= {(key, name) for key, name in own if name in known and known[name].pull and known[name].bound}
    fetched = {name for _, name in own & shown}
    return Durables({name: replace(one, bound=one.bound or name in fetched) for name, one in known.items()})


def _nats_address(snapshot: _Snapshot, workload: Workload) -> str:
    """Where its runtime's NATS is. Raises StepFailed when that is in a container that does not run."""
    if workload.runtime == "native":
        return "127.0.0.1"
    containers = {
        service: container
        for (project, service), container in snapshot.containers.items()
        if project == workload.project
    }
    return address_of(containers, workload.project)
