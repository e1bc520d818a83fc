"""Has services run from links, each of its own, and switches them to a release."""

from __future__ import annotations

from dataclasses import dataclass

from ...releases import register
from ...system import systemd
from ...system.machine import Evidence, Machine
from ...wire.codec import wire
from ...wire.facts import Facts, FactsRequest, Workload
from ...wire.release import ReleasesRef
from ..before import Before, text, texts
from .base import Adoption, ReleaseAction


@wire
@dataclass(frozen=True)
class AdoptCheckout(Adoption):
    """Makes the links of services that run from the checkout; they lead there, so that nothing changes yet.

    The checkout's commit becomes a release to go back to, which has to be built first. It is none where the deploy is
    of that very commit.
    """

    def noop_reason(self, facts: Facts) -> str:
        return "" if self._missing(facts) else "they have links"

    def snapshot(self, facts: Facts) -> Before:
        return self._snapshot(facts, "native", self._missing(facts))

    def apply(self, machine: Machine, before: Before) -> Evidence:
        ref, head = self.releases, text(before, "head")
        machine.run(["mkdir", "-p", "--", f"{ref.folder}/live"], user=ref.user)
        for service in texts(before, "missing"):
            put_link(machine, ref, service, ref.checkout)
        if head != self.deployed:
            adopted = self._adopted(machine, before, "native", texts(before, "missing"))
            register.write(machine.ops, adopted)
        return {"links": texts(before, "missing"), "release": head}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        ref, head = self.releases, text(before, "head")
        for service in texts(before, "missing"):
            machine.run(["rm", "-f", "--", ref.link(service), f"{ref.link(service)}.new"], user=ref.user)
        if head != self.deployed:
            self._restore(machine, before, "native")
        return {"removed": texts(before, "missing")}

    def _missing(self, facts: Facts) -> list[str]:
        return [service for service in self.services if service not in facts.releases.live]

    def describe(self) -> str:
        return f"link {', '.join(self.services)} to {self.releases.checkout}, which they run from"


@wire
@dataclass(frozen=True)
class SwitchService(ReleaseAction):
    """Has one service run from a release: switches its link, which is atomic, and restarts its unit.

    Its undo does the same with what the link led to before; a unit that was down is stopped.
    """

    commit: str
    service: str
    unit: str
    timeout: float = 60.0  # seconds, for systemctl

    def required_facts(self) -> FactsRequest:
        return FactsRequest(releases=self.releases, user=self.releases.user, user_units=(self.unit,))

    def unreadable_reason(self, facts: Facts) -> str:
        return facts.user_manager or facts.releases.problem

    def noop_reason(self, facts: Facts) -> str:
        live = facts.releases.live.get(self.service) == self.releases.directory(self.commit)
        return f"{self.service} runs from {self.commit[:12]}" if live else ""

    def snapshot(self, facts: Facts) -> Before:
        unit = facts.unit(self.unit, self.releases.user)
        up = unit is not None and unit.active in ("active", "activating", "reloading")
        # A first deploy makes the link, which leads to the checkout, after the survey.
        former = facts.releases.live.get(self.service, self.releases.checkout)
        return {"former": former, "up": [self.unit] if up else []}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        directory = self.releases.directory(self.commit)
        put_link(machine, self.releases, self.service, directory)
        self._systemctl(machine, "restart")
        return {"from": text(before, "former"), "to": directory}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        put_link(machine, self.releases, self.service, text(before, "former"))
        if texts(before, "up"):
            self._systemctl(machine, "restart")
        else:
            systemd.stop(machine, [self.unit], self.releases.user, self.timeout)
        return {"to": text(before, "former")}

    def _systemctl(self, machine: Machine, verb: str) -> None:
        argv = [*systemd.systemctl(self.releases.user), verb, "--", self.unit]
        machine.run(argv, user=self.releases.user, timeout=self.timeout)

    def about(self) -> tuple[Workload, ...]:
        return (Workload(self.unit, "native", unit=self.unit, user=self.releases.user),)

    def describe(self) -> str:
        return f"switch {self.service} to {self.commit[:12]} and restart {self.unit}"


def put_link(machine: Machine, ref: ReleasesRef, service: str, directory: str) -> None:
    """Have a service's link lead to a directory, by a rename: there is always one. Raises CommandFailed."""
    link = ref.link(service)
    machine.run(["ln", "-sfn", "--", directory, f"{link}.new"], user=ref.user)
    machine.run(["mv", "-fT", "--", f"{link}.new", link], user=ref.user)
