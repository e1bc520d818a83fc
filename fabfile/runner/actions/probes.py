"""The probes that verify a step."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..facts.data.openers import openers
from ..facts.health import SETTLE_SECONDS, healthy, observation_of, running
from ..system import docker, sockets, systemd
from ..system.machine import Machine, Observation, StepFailed, os_error_text
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

    def check(self, machine: Machine) -> Observation:
        return self._check(machine)

    def until(self, machine: Machine, seconds: float) -> Observation:
        poller = Poller(seconds)
        return machine.until(lambda: self._check(machine, poller), seconds)

    def _check(self, machine: Machine, poller: Poller | None = None) -> Observation:
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
    """All of the workloads run, and hold their ports if they have some; for those that were not healthy before."""

    workloads: tuple[Workload, ...]

    def check(self, machine: Machine) -> Observation:
        try:
            return observation_of(running(machine, self.workloads))
        except StepFailed as error:
            return Observation(False, str(error), error.evidence)

    def describe(self) -> str:
        return "running: " + ", ".join(w.name for w in self.workloads)


@wire
@dataclass(frozen=True)
class UnitsValid(Probe):
    """systemd, or `user`'s own manager, reports no error in the unit files."""

    files: tuple[str, ...]
    user: str = ""

    def check(self, machine: Machine) -> Observation:
        try:
            errors = systemd.verify(machine, self.files, self.user)
        except StepFailed as error:
            return Observation(False, str(error), error.evidence)
        return Observation(not errors, "; ".join(errors) or "units are valid", permanent=True)

    def describe(self) -> str:
        return "systemd accepts " + ", ".join(self.files)


@wire
@dataclass(frozen=True)
class UnitsDown(Probe):
    """None of the units runs or is about to be restarted."""

    units: tuple[str, ...]
    user: str = ""

    def check(self, machine: Machine) -> Observation:
        try:
            units = systemd.show(machine, self.units, self.user)
        except StepFailed as error:
            return Observation(False, str(error), error.evidence)
        alive = [f"{u.name} is {u.active}/{u.sub}" for u in units.values() if u.active not in ("inactive", "failed")]
        return Observation(not alive, "; ".join(alive) or "all down")

    def describe(self) -> str:
        return "down: " + ", ".join(self.units)


@wire
@dataclass(frozen=True)
class ContainersDown(Probe):
    """None of the project's services has a running or restarting container."""

    project: str
    services: tuple[str, ...]

    def check(self, machine: Machine) -> Observation:
        try:
            containers = docker.list_containers(machine, self.project)
        except StepFailed as error:
            return Observation(False, str(error), error.evidence)
        alive = [
            f"{container.service} is {container.state}"
            for container in containers
            if container.service in self.services and container.state not in ("exited", "created", "dead")
        ]
        return Observation(not alive, "; ".join(alive) or "all down")

    def describe(self) -> str:
        return "containers down: " + ", ".join(self.services)


@wire
@dataclass(frozen=True)
class DataUnused(Probe):
    """The folders are not in use: by no container of any name, and by no stray process."""

    folders: tuple[str, ...]

    def check(self, machine: Machine) -> Observation:
        users = openers(self.folders)
        text = "; ".join(str(opener) for opener in users)
        return Observation(not users, text or "the data is not in use")

    def describe(self) -> str:
        return "not in use: " + ", ".join(self.folders)


@wire
@dataclass(frozen=True)
class ReadOnly(Probe):
    """The folders are read-only at their usual paths."""

    folders: tuple[str, ...]

    def check(self, machine: Machine) -> Observation:
        try:
            writable = [path for path in self.folders if not os.statvfs(path).f_flag & os.ST_RDONLY]
        except OSError as error:
            return Observation(False, os_error_text(error))
        return Observation(not writable, f"not read-only: {', '.join(writable)}" if writable else "read-only")

    def describe(self) -> str:
        return "read-only: " + ", ".join(self.folders)


@wire
@dataclass(frozen=True)
class Writable(Probe):
    """Folders that can be written to at their usual place, where they are there."""

    folders: tuple[str, ...]

    def check(self, machine: Machine) -> Observation:
        there = [path for path in self.folders if os.path.isdir(path)]
        sealed = [path for path in there if os.statvfs(path).f_flag & os.ST_RDONLY]
        return Observation(not sealed, f"read-only: {', '.join(sealed)}" if sealed else "writable")

    def describe(self) -> str:
        return "writable: " + ", ".join(self.folders)


@wire
@dataclass(frozen=True)
class PortsFree(Probe):
    """No process listens on the ports."""

    ports: tuple[int, ...]

    def check(self, machine: Machine) -> Observation:
        listeners = [f"{item.port} by {item.command} (pid {item.pid})" for item in sockets.listeners(self.ports)]
        return Observation(not listeners, "held: " + "; ".join(listeners) if listeners else "all free")

    def describe(self) -> str:
        return "ports free: " + ", ".join(str(port) for port in self.ports)
