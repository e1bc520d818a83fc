"""Healthy, in one place: every check, plan and status asks this and shows its evidence.

A workload is healthy when its unit or container runs and is not restarting, its own process holds its port,
it answers, and every durable consumer that belongs to it is bound. Each part was once the only one that told:
a crash-looping unit is "active" between crashes, a foreign process answers on the port, and after a second
owner took its consumers an API still says ok while it receives nothing.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..system import docker, procs, sockets, systemd
from ..system.machine import Machine, Observation, StepFailed
from ..system.questions import GLANCE, Ask, Inquiry
from ..wire.app import Consumer, NatsRef
from ..wire.facts import Container, Health, Listener, Unit, Workload
from .nats.jetstream import address_of, durables_of, read_streams
from .servers import TIMEOUT, answers

Containers = Mapping[str, Mapping[str, Container]]  # project → service → container

SETTLE = 0.4  # seconds a healthy process must stay the same one
_LOOP = 5  # restarts after which waiting for the next one is no use


@dataclass(frozen=True)
class _Scene:
    """All that one look needs, read once for all workloads."""

    units: dict[tuple[str, str], Unit]
    containers: dict[tuple[str, str], Container]
    listeners: tuple[Listener, ...]
    durables: dict[str, dict[str, Consumer]] = field(default_factory=dict)  # by runtime, once one of them was read


@dataclass(frozen=True)
class _Found:
    """What is known of a workload before it is asked anything, and by which key its answer is kept."""

    workload: Workload
    problems: list[str]
    bare: Health  # what systemd or Docker say of it
    key: str


def healthy(
    machine: Machine, workloads: Sequence[Workload], settle: float = 0.0, inquiry: Inquiry | None = None
) -> dict[str, Health]:
    """One verdict for each workload, keyed "runtime/name".

    With `settle` (seconds) a workload that looks healthy must have been the same process for so long: one look
    cannot tell a crash loop from a start. What is younger is looked at again at that age, since requests may wait.
    The `inquiry` of many looks remembers from one to the next what a process has answered, and what it still owes.
    """
    first = _scene(machine, workloads)
    verdicts = _verdicts(first, workloads, inquiry)
    missing = settle - min((_age(_identity(first, workload)[0]) for workload in workloads), default=settle)
    if missing > 0 and all(verdict.ok for verdict in verdicts.values()):
        time.sleep(missing)
        second = _scene(machine, workloads)
        for workload in workloads:
            change = _restarted(_identity(first, workload), _identity(second, workload))
            if change:
                key = f"{workload.runtime}/{workload.name}"
                verdicts[key] = replace(verdicts[key], ok=False, text=change, permanent=False)
    return verdicts


def running(machine: Machine, workloads: Sequence[Workload]) -> dict[str, Health]:
    """One verdict for each workload, of no more than that it runs and holds its port, if it has one."""
    scene = _scene(machine, workloads)
    # What Docker's own check says of them is a part of being healthy.
    plain = {key: replace(container, health="") for key, container in scene.containers.items()}
    bare = [replace(workload, protocol="", durables=()) for workload in workloads]
    return _verdicts(replace(scene, containers=plain), bare, None)


def healthy_now(machine: Machine, workloads: Sequence[Workload], containers: Containers) -> dict[str, Health]:
    """As `healthy`, by one look. `containers` were read just now, by project, and are not read again.

    Raises StepFailed where systemd, or Docker of another project, does not answer.
    """
    return _verdicts(_scene(machine, workloads, containers), workloads, None)


def wait_until_healthy(machine: Machine, workloads: Sequence[Workload], seconds: float) -> dict[str, Health]:
    """As `healthy`, looking again until all are, or one is beyond hope, or `seconds` have passed."""
    last: dict[str, Health] = {}
    inquiry = Inquiry(seconds) if seconds else None

    def look() -> Observation:
        last.update(healthy(machine, workloads, SETTLE if seconds else 0.0, inquiry))
        return seen_of(last)

    machine.wait(look, seconds)
    return last


def wait_until_settled(machine: Machine, workloads: Sequence[Workload], seconds: float) -> dict[str, Health]:
    """As `healthy`, looking again while one is on its way, as after a reboot, until `seconds` have passed."""
    last: dict[str, Health] = {}
    inquiry = Inquiry(seconds) if seconds else None

    def look() -> Observation:
        last.update(healthy(machine, workloads, inquiry=inquiry))
        return Observation(all(verdict.ok or verdict.permanent for verdict in last.values()), "")

    machine.wait(look, seconds)
    return last


def seen_of(verdicts: dict[str, Health]) -> Observation:
    """All verdicts as one look."""
    sick = [verdict for verdict in verdicts.values() if not verdict.ok]
    text = "; ".join(f"{v.name}: {v.text}" for v in sick) or f"{len(verdicts)} healthy"
    data = {key: verdict.text for key, verdict in verdicts.items()}
    return Observation(not sick, text, data, final=any(verdict.permanent for verdict in sick))


def _scene(machine: Machine, workloads: Sequence[Workload], read: Containers | None = None) -> _Scene:
    native = [w for w in workloads if w.runtime == "native"]
    units: dict[tuple[str, str], Unit] = {}
    for user in {w.user for w in native}:
        names = [w.unit for w in native if w.user == user]
        units.update({(user, name): unit for name, unit in systemd.show(machine, names, user).items()})
    containers: dict[tuple[str, str], Container] = {}
    for project in {w.project for w in workloads if w.runtime == "docker"}:
        found = read[project] if read and project in read else docker.containers(machine, project)
        containers.update({(project, service): container for service, container in found.items()})
    return _Scene(units, containers, sockets.listeners([w.port for w in native if w.port]))


def _identity(scene: _Scene, workload: Workload) -> tuple[int, int]:
    """Main process and restart counter: what a restart changes."""
    if workload.runtime == "native":
        unit = scene.units[(workload.user, workload.unit)]
        return unit.pid, unit.restarts
    container = scene.containers.get((workload.project, workload.name))
    return (container.pid, container.restarts) if container else (0, 0)


def _age(pid: int) -> float:
    """For how long a process has run, in seconds; 0 when it is gone."""
    found = procs.process(pid)
    return found.age if found else 0.0


def _restarted(first: tuple[int, int], second: tuple[int, int]) -> str:
    if first == second:
        return ""
    return f"is restarting: process {first[0]} became {second[0]} (restarts {first[1]} → {second[1]})"


def _verdicts(scene: _Scene, workloads: Sequence[Workload], inquiry: Inquiry | None) -> dict[str, Health]:
    """All that can be asked is asked side by side; where there is only one look, it waits for the answers."""
    patience = GLANCE if inquiry else TIMEOUT
    inquiry = inquiry or Inquiry(patience)
    found: dict[str, _Found] = {}
    questions: dict[str, Ask] = {}
    for workload in workloads:
        problems, address, bare = (_native if workload.runtime == "native" else _docker)(scene, workload)
        # A process that has answered once is not asked again; another one in its place is.
        key = f"{workload.runtime}/{workload.name} {_identity(scene, workload)}"
        found[f"{workload.runtime}/{workload.name}"] = _Found(workload, problems, bare, key)
        if not problems and workload.protocol:
            questions[key] = functools.partial(answers, workload.protocol, address, workload.port, workload.path)
    seen = inquiry.look(questions, patience)
    return {name: _verdict(scene, item, seen.get(item.key)) for name, item in found.items()}


def _verdict(scene: _Scene, found: _Found, answer: Observation | None) -> Health:
    workload, problems, health = found.workload, list(found.problems), found.bare
    if answer is not None:
        health = replace(health, answer=answer.text, answered=answer.ok)
        problems += [] if answer.ok else [answer.text]
    if not found.problems and workload.durables:
        problem = _durables_problem(scene, workload)
        problems += [problem] if problem else []
    return replace(health, ok=not problems, text="; ".join(problems) or "healthy")


def _native(scene: _Scene, workload: Workload) -> tuple[list[str], str, Health]:
    """What is wrong with its unit, where it listens, and what systemd says of it."""
    unit = scene.units[(workload.user, workload.unit)]
    state = f"{unit.active}/{unit.sub}"
    bare = Health(workload.name, workload.runtime, False, "", state, unit.pid, unit.restarts)
    if not unit.running:
        bare = replace(bare, permanent=unit.active in ("inactive", "failed") or unit.restarts >= _LOOP)
        return [f"unit {unit.name} is {unit.active}/{unit.sub}" + _because(unit)], "", bare
    if not workload.port:
        return [], "", bare
    held = [item for item in scene.listeners if item.port == workload.port]
    if not held:
        return [f"nothing listens on port {workload.port}"], "", bare
    # Both are paths below the same control-group root; a foreign process is in another branch.
    own = [item for item in held if unit.cgroup and (item.cgroup + "/").startswith(unit.cgroup + "/")]
    if not own:
        other = held[0]
        return (
            [f"port {workload.port} is held by {other.command or '?'} (pid {other.pid}), not by the unit"],
            "",
            bare,
        )
    return [], sockets.reachable(own[0].address), bare


def _because(unit: Unit) -> str:
    if unit.load == "not-found":
        return " (not installed)"
    return f" ({unit.result}, {unit.restarts} restarts)" if unit.result not in ("", "success") else ""


def _docker(scene: _Scene, workload: Workload) -> tuple[list[str], str, Health]:
    """What is wrong with its container, where it listens, and what Docker says of it."""
    container = scene.containers.get((workload.project, workload.name))
    if container is None:
        return ["there is no container"], "", Health(workload.name, workload.runtime, False, "", permanent=True)
    state, pid, restarts = container.state, container.pid, container.restarts
    bare = Health(workload.name, workload.runtime, False, "", state, pid, restarts)
    if not container.running:
        bare = replace(bare, permanent=state != "restarting" or restarts >= _LOOP)
        return [f"container is {container.state}"], "", bare
    # Docker's own check looks every few seconds; until its first verdict ours below are the stricter ones.
    if container.health == "unhealthy":
        return ["container's health check says unhealthy"], "", bare
    if workload.port and workload.port not in sockets.listening_ports(container.pid):
        return [f"nothing in the container listens on port {workload.port}"], "", bare
    if workload.port and not container.address:
        return ["the container is on no network"], "", bare
    return [], container.address, bare


def _durables_problem(scene: _Scene, workload: Workload) -> str:
    """By the JetStream of the workload's own runtime; the other one's would tell of other consumers."""
    assert workload.nats is not None
    try:
        found = _durables(scene, workload, workload.nats)
    except (OSError, ValueError, StepFailed) as error:
        return f"whether its durables are bound can't be told: {error}"
    known = {name: found[name] for name in sorted(workload.durables) if name in found}
    loose = {
        "there is no durable": [name for name in sorted(workload.durables) if name not in known],
        "durables not bound": [name for name, durable in known.items() if not durable.bound and not durable.pull],
        "nobody fetches from": [name for name, durable in known.items() if not durable.bound and durable.pull],
    }
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in loose.items() if names)


def _durables(scene: _Scene, workload: Workload, nats: NatsRef) -> dict[str, Consumer]:
    """All durables, read once for all workloads; once more where nobody waits to fetch. Raises as `read_streams`."""
    address = "127.0.0.1"
    if workload.runtime == "docker":
        own = {service: found for (project, service), found in scene.containers.items() if project == workload.project}
        address = address_of(own, workload.project)
    if workload.runtime not in scene.durables:
        scene.durables[workload.runtime] = durables_of(read_streams(address, nats))
    found = scene.durables[workload.runtime]
    idle = {name for name in workload.durables if name in found and found[name].pull and not found[name].bound}
    return durables_of(read_streams(address, nats, idle)) if idle else found
