"""Creates, starts and stops the containers of a Compose project's services, each with its undo."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ..system import docker
from ..system.machine import Evidence, Machine, StepFailed
from ..wire.app import Compose
from ..wire.codec import wire
from ..wire.facts import Container, Facts, FactsRequest, Workload
from ..wire.release import ReleasesRef
from .base import Action, Inspection
from .before import Before, table, text, texts
from .keep_aside import proven


@dataclass(frozen=True)
class _OnServices(Action):
    """Services of a Compose project, and how long Compose may take (seconds)."""

    project: Compose
    services: tuple[str, ...]
    timeout: float = 120.0

    def required_facts(self) -> FactsRequest:
        return FactsRequest(project=self.project.project)

    def unreadable_reason(self, facts: Facts) -> str:
        return facts.docker_error

    def _running(self, facts: Facts) -> list[str]:
        return [name for name in self.services if any(container.alive for container in _of_service(facts, name))]

    def _make(self, machine: Machine, services: Sequence[str], *options: str) -> None:
        if services:
            # --pull never: what is not on the host must not be fetched in the middle of a hand-over.
            argv = [*docker.compose(self.project), "up", "--no-start", "--no-build", "--pull", "never", *options]
            machine.run([*argv, *services], timeout=self.timeout)

    def _make_while_others_run(self, machine: Machine, down: Sequence[str]) -> None:
        """Create containers while others run: `up` would stop and recreate what a service depends on, if out of date.

        So the containers that are down are removed first, and only missing ones are created.
        """
        names = _names(self._containers(machine, down))
        if names:
            machine.run(["docker", "rm", *names], timeout=self.timeout)
        self._make(machine, down, "--no-recreate")

    def _start(self, machine: Machine, services: Sequence[str], former: Collection[str] = ()) -> None:
        """Start the services' containers as they are, side by side: where some of a service are `former`, only those.

        One that never ran beside one that did stays down: an interrupted `up` leaves it, on the same data.
        Not by `up`: that waits for Docker's slow health checks of what a service depends on, which the plan
        awaits by itself, and with `--no-deps` it gives every container another configuration hash.
        """
        containers = self._containers(machine, services)
        missing = [service for service in services if service not in containers]
        if missing:
            self._make(machine, missing, "--no-recreate")
            containers = self._containers(machine, services)
        missing = [service for service in services if service not in containers]
        if missing:
            raise StepFailed(f"Compose created no container for {', '.join(missing)}")
        # One call for all would start one after the other.
        with ThreadPoolExecutor(max_workers=8) as pool:
            names = [name for group in containers.values() for name in _to_start(group, former)]
            list(pool.map(lambda name: machine.run(["docker", "start", name], timeout=self.timeout), names))

    def _stop(self, machine: Machine, services: Sequence[str]) -> None:
        """Stop the services' containers side by side, each within its time in the Compose file."""
        names = _names(self._containers(machine, services))
        if names:
            machine.run(["docker", "stop", *names], timeout=self.timeout)

    def _kill(self, machine: Machine, services: Sequence[str]) -> None:
        """Kill the services' containers, so that they write nothing as they end. Docker does not restart them."""
        names = [one.name for one in self._listed(machine) if one.service in services and one.alive]
        if names:
            machine.run(["docker", "kill", *names], timeout=self.timeout)

    def _containers(self, machine: Machine, services: Sequence[str]) -> dict[str, list[docker.ContainerState]]:
        """Return the services' containers, by service: one that is scaled has several."""
        containers: dict[str, list[docker.ContainerState]] = {}
        for container in self._listed(machine):
            if container.service in services:
                containers.setdefault(container.service, []).append(container)
        return containers

    def _listed(self, machine: Machine) -> list[docker.ContainerState]:
        return docker.list_containers(machine, self.project.project)


@wire
@dataclass(frozen=True)
class Make(_OnServices):
    """Creates the services' containers by the Compose files, those that are out of date anew; starts none.

    Running containers are left as they are. To apply a changed file, stop the services first.
    """

    def noop_reason(self, facts: Facts) -> str:
        return "all run" if len(self._running(facts)) == len(self.services) else ""

    def snapshot(self, facts: Facts) -> Before:
        running = self._running(facts)
        others = sorted({container.service for container in facts.all_containers if container.alive})
        return {"down": [name for name in self.services if name not in running], "beside": others}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        if texts(before, "beside"):
            self._make_while_others_run(machine, texts(before, "down"))
        else:
            self._make(machine, texts(before, "down"))
        return {"made": texts(before, "down")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return {"kept": texts(before, "down")}

    def describe(self) -> str:
        return f"compose up --no-start {' '.join(self.services)}"


@wire
@dataclass(frozen=True)
class Up(_OnServices):
    """Starts exactly these services' containers.

    With `unproven` its undo kills them, until a comparison has shown that they have all their data.
    """

    unproven: bool = False

    def noop_reason(self, facts: Facts) -> str:
        running = [item for item in map(facts.containers.get, self.services) if item and item.running]
        return "all run" if len(running) == len(self.services) else ""

    def snapshot(self, facts: Facts) -> Before:
        running = self._running(facts)
        return {"down": [name for name in self.services if name not in running]}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self._start(machine, texts(before, "down"))
        return {"up": texts(before, "down")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        if self.unproven and not proven(machine):
            self._kill(machine, texts(before, "down"))
            return {"killed": texts(before, "down")}
        self._stop(machine, texts(before, "down"))
        return {"stopped": texts(before, "down")}

    def describe(self) -> str:
        return f"docker start {' '.join(self.services)}"


@wire
@dataclass(frozen=True)
class Down(_OnServices):
    """Stops services by hand, so that Docker does not bring them back at a reboot."""

    def noop_reason(self, facts: Facts) -> str:
        return "" if self._running(facts) else "none runs"

    def snapshot(self, facts: Facts) -> Before:
        alive = [container for name in self.services for container in _of_service(facts, name) if container.alive]
        return {"up": self._running(facts), "started": {container.name: container.started for container in alive}}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self._stop(machine, texts(before, "up"))
        return {"stopped": texts(before, "up")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        stopped = self._stop_started_since(machine, before)
        self._start(machine, texts(before, "up"), table(before, "started"))
        return {"up": texts(before, "up"), **({"restarted": stopped} if stopped else {})}

    def _stop_started_since(self, machine: Machine, before: Before) -> list[str]:
        """Stop what somebody else has started meanwhile, and return its names.

        It started among the plan's changes, on files that were about to get another owner, say, and `docker start`
        leaves it as it is.
        """
        up, started = texts(before, "up"), table(before, "started")
        if not any(container.service in up and container.alive for container in self._listed(machine)):
            return []  # as it should be, and without the longer question while requests wait
        containers = docker.containers(machine, self.project.project)
        alive = [one for name in up if name in containers for one in containers[name].of_service if one.alive]
        since = [container.name for container in alive if started.get(container.name) != container.started]
        if since:
            machine.run(["docker", "stop", *since], timeout=self.timeout)
        return since

    def describe(self) -> str:
        return f"docker stop {' '.join(self.services)}"


@wire
@dataclass(frozen=True)
class SwitchImage(_OnServices):
    """Makes one service's container anew from a release's image, and starts it.

    The image gets the name under which the Compose file knows it (`image`), so that whoever calls Compose runs the same
    release. The undo gives that name back to the former image. With `anew` a container of that image is made anew, too.
    """

    releases: ReleasesRef | None = None
    commit: str = ""
    image: str = ""
    anew: bool = False

    def required_facts(self) -> FactsRequest:
        return FactsRequest(project=self.project.project, releases=self.releases)

    def unreadable_reason(self, facts: Facts) -> str:
        return facts.docker_error or facts.releases.problem

    def noop_reason(self, facts: Facts) -> str:
        (service,) = self.services
        same = facts.releases.containers.get(service) == self.commit and not self.anew
        return f"{service} runs from {self.commit[:12]}" if same else ""

    def inspect(self, machine: Machine) -> Inspection:
        inspection = super().inspect(machine)
        former = machine.run(["docker", "image", "inspect", "--format", "{{.Id}}", self.image]).out.strip()
        return replace(inspection, before={**inspection.before, "former": former})

    def snapshot(self, facts: Facts) -> Before:
        return {"up": self._running(facts)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        assert self.releases is not None
        tag = f"{self.releases.repository(self.services[0])}:{self.commit}"
        self._switch(machine, tag)
        self._start(machine, self.services)
        return {"from": text(before, "former"), "to": tag}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        self._switch(machine, text(before, "former"))
        self._start(machine, texts(before, "up"))
        return {"to": text(before, "former"), "up": texts(before, "up")}

    def _switch(self, machine: Machine, image: str) -> None:
        machine.run(["docker", "tag", image, self.image], timeout=self.timeout)
        self._stop(machine, self.services)
        self._make_while_others_run(machine, self.services)

    def about(self) -> tuple[Workload, ...]:
        return tuple(Workload(name, "docker", project=self.project.project) for name in self.services)

    def describe(self) -> str:
        return f"make the container of {self.services[0]} anew from {self.commit[:12]}"


def _names(containers: dict[str, list[docker.ContainerState]]) -> list[str]:
    return [container.name for group in containers.values() for container in group]


def _to_start(containers: list[docker.ContainerState], former: Collection[str]) -> list[str]:
    """Those of a service's containers that ran: by name where that is known, else all but those that never did."""
    ran = [one for one in containers if one.name in former] or [one for one in containers if one.state != "created"]
    return [container.name for container in ran or containers]


def _of_service(facts: Facts, service: str) -> tuple[Container, ...]:
    container = facts.containers.get(service)
    return container.of_service if container else ()
