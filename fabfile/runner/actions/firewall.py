"""UFW rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List

from .. import ufw
from ..codec import wire
from ..facts import Facts, Rule, Wanted
from ..machine import Evidence, Machine, StepFailed
from ..model import Action


@wire
@dataclass(frozen=True)
class Allow(Action):
    """Lets TCP from a network reach a port of the host; the comment tells whose rule it is."""

    source: str
    port: int
    comment: str

    def wants(self) -> Wanted:
        return Wanted(firewall=True)

    def unknown(self, facts: Facts) -> str:
        return facts.firewall_error

    def settled(self, facts: Facts) -> str:
        if not facts.firewall_present:
            return "UFW is not installed: nothing of it filters"
        if not facts.firewall_active:
            return "UFW is not active: nothing filters"
        rule = ufw.allows(facts.rules, self.source, self.port)
        return f"allowed by `{rule}`" if rule else ""

    def before(self, facts: Facts) -> Dict[str, Any]:
        same = [rule for rule in facts.rules if self._is(rule)]
        return {"there": bool(same)}  # and without effect, or there would be nothing to do

    def do(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        machine.run(["ufw", *self._rule, "comment", self.comment], timeout=30)
        if not ufw.allows(ufw.rules(machine), self.source, self.port):
            raise StepFailed(f"a rule above it keeps {self.source} from port {self.port}: `ufw status numbered`")
        return {"added": " ".join(self._rule)}

    def restore(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        if before["there"]:
            return {"kept": " ".join(self._rule)}
        # Deleting what is not there says so and exits 0 or 1; either way it is gone.
        machine.run(["ufw", "--force", "delete", *self._rule], timeout=30, ok=(0, 1))
        return {"deleted": " ".join(self._rule)}

    def _is(self, rule: Rule) -> bool:
        same = (rule.action, rule.protocol, rule.source, rule.port) == ("allow", "tcp", self.source, str(self.port))
        return same and not rule.narrow

    @property
    def _rule(self) -> List[str]:
        return ["allow", "proto", "tcp", "from", self.source, "to", "any", "port", str(self.port)]

    def describe(self) -> str:
        return "ufw " + " ".join(self._rule) + f" comment '{self.comment}'"
