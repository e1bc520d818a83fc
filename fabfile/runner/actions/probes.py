"""The questions that verify a step."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..facts.data.openers import openers
from ..facts.health import SETTLE_SECONDS, healthy, observation_of, running
from ..system import docker, sockets, systemd
from ..system.machine import Machine, Observation, StepFailed, words
from ..system.polling import Poller
from ..wire.codec import wire
from ..wire.facts import Workload
from .base import Probe


@wire
@dataclass(frozen=True)
class Healthy(Probe):
    """All of the workloads are healthy, and still the same processes after `settle` seconds."""

    workloads: tuple[Workload, ...]
    settle: float = SETTLE_SECONDS

    def look(self, machine: Machine) -> Observation:
        return self._look(machine)

    def until(self, machine: Machine, seconds: float) -> Observation:
        poller = Poller(seconds)
        return machine.until(lambda: self._look(machine, poller), seconds)

    def _look(self, machine: Machine, poller: Poller | None = None) -> Observation:
        try:
            return observation_of(healthy(machine, self.workloads, self.settle, poller))
        except StepFailed as error:
            return Observation(False, str(error), error.evidence)

    def about(self) -> tuple[Workload, ...]:
        return self.workloads

    def describe(self) -> str:
        return "healthy: " + ", ".join(w.name for w in self.workloads)


@wire
@dataclass(frozen=True)
class Runs(Probe):
    """All of the workloads run, and hold their ports where they have some; for what was no better before."""

    workloads: tuple[Workload, ...]

    def look(self, machine: Machine) -> Observation:
        try:
            return observation_of(running(machine, self.workloads))
        except StepFailed as error:
            return Observation(False, str(error), error.evidence)

    def describe(self) -> str:
        return "running: " + ", ".join(w.name for w in self.workloads)


@wire
@dataclass(frozen=True)
class UnitsValid(Probe):
    """systemd, or `user`'s own manager, has nothing to say against the unit files."""

    files: tuple[str, ...]
    user: str = ""

    def look(self, machine: Machine) -> Observation:
        try:
            against = systemd.verify(machine, self.files, self.user)
        except StepFailed as error:
            return Observation(False, str(error), error.evidence)
        return Observation(not against, "; ".join(against) or "units are valid", permanent=True)

    def describe(self) -> str:
        return "systemd accepts " + ", ".join(self.files)


@wire
@dataclass(frozen=True)
class UnitsDown(Probe):
    """None of the units runs or is about to be restarted."""

    units: tuple[str, ...]
    user: str = ""

    def look(self, machine: Machine) -> Observation:
        try:
            found = systemd.show(machine, self.units, self.user)
        except StepFailed as error:
            return Observation(False, str(error), error.evidence)
        alive = [f"{u.name} is {u.active}/{u.sub}" for u in found.values() if u.active not in ("inactive", "failed")]
        return Observation(not alive, "; ".join(alive) or "all down")

    def describe(self) -> str:
        return "down: " + ", ".join(self.units)


@wire
@dataclass(frozen=True)
class ContainersDown(Probe):
    """None of the project's services has a running or restarting container."""

    project: str
    services: tuple[str, ...]

    def look(self, machine: Machine) -> Observation:
        try:
            found = docker.list_containers(machine, self.project)
        except StepFailed as error:
            return Observation(False, str(error), error.evidence)
        alive = [
            f"{box.service} is {box.state}"
            for box in found
            if box.service in self.services and box.state not in ("exited", "created", "dead")
        ]
        return Observation(not alive, "; ".join(alive) or "all down")

    def describe(self) -> str:
        return "containers down: " + ", ".join(self.services)


@wire
@dataclass(frozen=True)
class DataUnused(Probe):
    """Nobody has the folders in use: no container of any name, and no stray process."""

    folders: tuple[str, ...]

    def look(self, machine: Machine) -> Observation:
        found = openers(self.folders)
        text = "; ".join(str(opener) for opener in found)
        return Observation(not found, text or "nobody has the data in use")

    def describe(self) -> str:
        return "in nobody's use: " + ", ".join(self.folders)


@wire
@dataclass(frozen=True)
class ReadOnly(Probe):
    """Folders that nobody can write to who finds them at their usual place."""

    folders: tuple[str, ...]

    def look(self, machine: Machine) -> Observation:
        try:
            writable = [path for path in self.folders if not os.statvfs(path).f_flag & os.ST_RDONLY]
        except OSError as error:
            return Observation(False, words(error))
        return Observation(not writable, f"not read-only: {', '.join(writable)}" if writable else "read-only")

    def describe(self) -> str:
        return "read-only: " + ", ".join(self.folders)


@wire
@dataclass(frozen=True)
class PortsFree(Probe):
    """Nobody listens on the ports."""

    ports: tuple[int, ...]

    def look(self, machine: Machine) -> Observation:
        held = [f"{item.port} by {item.command} (pid {item.pid})" for item in sockets.listeners(self.ports)]
        return Observation(not held, "held: " + "; ".join(held) if held else "all free")

    def describe(self) -> str:
        return "ports free: " + ", ".join(str(port) for port in self.ports)
