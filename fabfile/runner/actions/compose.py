"""Creates, starts and stops the containers of a Compose project's services, each with its undo."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..system import docker
from ..system.machine import Evidence, Machine, StepFailed
from ..wire.codec import wire
from ..wire.compose import Compose
from ..wire.facts import Container, Facts, FactsRequest
from .base import Action
from .before import Before, table, texts
from .keep_aside import proven

_ALIVE = ("running", "restarting", "paused")


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
        return [name for name in self.services if _alive(facts.containers.get(name))]

    def _make(self, machine: Machine, services: Sequence[str], *options: str) -> None:
        if services:
            # --pull never: what is not on the host must not be fetched in the middle of a hand-over.
            argv = [*docker.compose(self.project), "up", "--no-start", "--no-build", "--pull", "never", *options]
            machine.run([*argv, *services], timeout=self.timeout)

    def _start(self, machine: Machine, services: Sequence[str]) -> None:
        """Start the services' containers as they are, side by side.

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
            commands = [["docker", "start", name] for name in _names(containers)]
            list(pool.map(lambda argv: machine.run(argv, timeout=self.timeout), commands))

    def _stop(self, machine: Machine, services: Sequence[str]) -> None:
        """Stop the services' containers side by side, each within its time in the Compose file."""
        names = _names(self._containers(machine, services))
        if names:
            machine.run(["docker", "stop", *names], timeout=self.timeout)

    def _kill(self, machine: Machine, services: Sequence[str]) -> None:
        """Kill the services' containers, so that they write nothing as they end. Docker does not restart them."""
        names = [box.name for box in self._boxes(machine) if box.service in services and box.state in _ALIVE]
        if names:
            machine.run(["docker", "kill", *names], timeout=self.timeout)

    def _containers(self, machine: Machine, services: Sequence[str]) -> dict[str, list[str]]:
        """Return the names of the services' containers, by service: one that is scaled has several."""
        containers: dict[str, list[str]] = {}
        for box in self._boxes(machine):
            if box.service in services:
                containers.setdefault(box.service, []).append(box.name)
        return containers

    def _boxes(self, machine: Machine) -> list[docker.ContainerState]:
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
        others = sorted(service for service, box in facts.containers.items() if _alive(box))
        return {"down": [name for name in self.services if name not in running], "beside": others}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        if texts(before, "beside"):
            self._make_while_others_run(machine, texts(before, "down"))
        else:
            self._make(machine, texts(before, "down"))
        return {"made": texts(before, "down")}

    def _make_while_others_run(self, machine: Machine, down: Sequence[str]) -> None:
        """Create containers while others run: `up` would stop and recreate what a service depends on, if out of date.

        So the containers that are down are removed first, and only missing ones are created.
        """
        names = _names(self._containers(machine, down))
        if names:
            machine.run(["docker", "rm", *names], timeout=self.timeout)
        self._make(machine, down, "--no-recreate")

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
        up = self._running(facts)
        return {"up": up, "started": {name: facts.containers[name].started for name in up}}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self._stop(machine, texts(before, "up"))
        return {"stopped": texts(before, "up")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        stopped = self._stop_started_since(machine, before)
        self._start(machine, texts(before, "up"))
        return {"up": texts(before, "up"), **({"restarted": stopped} if stopped else {})}

    def _stop_started_since(self, machine: Machine, before: Before) -> list[str]:
        """Stop what somebody else has started meanwhile, and return its names.

        It started among the plan's changes, on files that were about to get another owner, say, and `docker start`
        leaves it as it is.
        """
        up, started = texts(before, "up"), table(before, "started")
        if not any(box.service in up and box.state in _ALIVE for box in self._boxes(machine)):
            return []  # as it should be, and without the longer question while requests wait
        found = docker.containers(machine, self.project.project)
        since = [name for name in up if _alive(found.get(name)) and found[name].started != started.get(name)]
        self._stop(machine, since)
        return since

    def describe(self) -> str:
        return f"docker stop {' '.join(self.services)}"


def _names(containers: dict[str, list[str]]) -> list[str]:
    return [name for names in containers.values() for name in names]


def _alive(container: Container | None) -> bool:
    return container is not None and container.state in _ALIVE
