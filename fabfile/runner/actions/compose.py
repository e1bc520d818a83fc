"""Compose's verbs on services of the project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

from .. import docker
from ..codec import wire
from ..facts import Compose, Container, Facts, Wanted
from ..machine import Evidence, Machine, StepFailed
from ..model import Action


@dataclass(frozen=True)
class _OnServices(Action):
    """Services of a Compose project, and how long Compose may take (seconds)."""

    project: Compose
    services: Tuple[str, ...]
    timeout: float = 120.0

    def wants(self) -> Wanted:
        return Wanted(compose=self.project)

    def unknown(self, facts: Facts) -> str:
        return facts.docker_error

    def _running(self, facts: Facts) -> List[str]:
        return [name for name in self.services if _alive(facts.containers.get(name))]

    def _compose(self, machine: Machine, words: Sequence[str], services: Sequence[str]) -> None:
        if services:
            machine.run([*docker.compose(self.project), *words, *services], timeout=self.timeout)

    def _bring_up(self, machine: Machine, words: Sequence[str], services: Sequence[str]) -> None:
        """Create what is missing or out of date, then start it.

        Apart, because `up` waits for Docker's slow health checks of what a service depends on, which the plan
        awaits by itself, and because `up --no-deps` gives every container another configuration hash.
        """
        if not services:
            return
        # --pull never: what is not on the host must not be fetched in the middle of a hand-over.
        self._compose(machine, ["up", "--no-start", "--no-build", "--pull", "never", *words], services)
        found = docker.containers(machine, self.project.project)
        missing = [name for name in services if name not in found]
        if missing:
            raise StepFailed(f"Compose made no container for {', '.join(missing)}")
        machine.run(["docker", "start", *(found[name].name for name in services)], timeout=self.timeout)


@wire
@dataclass(frozen=True)
class Up(_OnServices):
    """Brings exactly these services up, as the Compose file says.

    Running containers are left as they are: Compose's configuration hash cannot tell whether they are out of
    date, since `config --hash` leaves out what the env files say and `up` does not. To apply a changed file,
    stop the services first.
    """

    def settled(self, facts: Facts) -> str:
        running = [item for item in map(facts.containers.get, self.services) if item and item.running]
        return "all run" if len(running) == len(self.services) else ""

    def before(self, facts: Facts) -> Dict[str, Any]:
        running = self._running(facts)
        return {"down": [name for name in self.services if name not in running]}

    def do(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        self._bring_up(machine, [], self.services)
        return {"up": list(self.services)}

    def restore(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        self._compose(machine, ["stop"], before["down"])
        return {"stopped": before["down"]}

    def describe(self) -> str:
        return f"compose up {' '.join(self.services)}"


@wire
@dataclass(frozen=True)
class Down(_OnServices):
    """Stops services by hand, so that Docker does not bring them back at a reboot."""

    def settled(self, facts: Facts) -> str:
        return "" if self._running(facts) else "none runs"

    def before(self, facts: Facts) -> Dict[str, Any]:
        return {"up": self._running(facts)}

    def do(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        self._compose(machine, ["stop"], before["up"])
        return {"stopped": before["up"]}

    def restore(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        # --no-recreate: put back the containers that were running, not newer ones.
        self._bring_up(machine, ["--no-recreate"], before["up"])
        return {"up": before["up"]}

    def describe(self) -> str:
        return f"compose stop {' '.join(self.services)}"


def _alive(container: "Container | None") -> bool:
    return container is not None and container.state in ("running", "restarting", "paused")
