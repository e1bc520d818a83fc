"""Adds and deletes UFW rules, each with its undo."""

from __future__ import annotations

from dataclasses import dataclass

from ..system import ufw
from ..system.machine import Evidence, Machine, StepFailed
from ..wire.codec import wire
from ..wire.facts import Facts, FactsRequest
from ..wire.firewall import Rule
from .base import Action
from .before import Before, texts

_SECONDS = ufw.TIMEOUT_SECONDS
_INACTIVE = "UFW is not active: nothing filters"


@wire
@dataclass(frozen=True)
class AllowRule(Action):
    """Allows TCP from a network to a port of the host; the comment names the rule's purpose."""

    source: str
    port: int
    comment: str
    without: tuple[str, ...] = ()  # rules, as UFW lists them, that the plan deletes, so that they do not count

    def required_facts(self) -> FactsRequest:
        return FactsRequest(firewall=True)

    def unreadable_reason(self, facts: Facts) -> str:
        return facts.firewall.problem

    def noop_reason(self, facts: Facts) -> str:
        if not facts.firewall.installed:
            return "UFW is not installed: nothing of it filters"
        if not facts.firewall.active:
            return _INACTIVE
        staying = [rule for rule in facts.firewall.rules if rule.text not in self.without]
        rule = ufw.allows(staying, self.source, self.port)
        return f"allowed by `{rule}`" if rule else ""

    def snapshot(self, facts: Facts) -> Before:
        same = [rule for rule in facts.firewall.rules if self._is(rule)]
        return {"there": bool(same)}  # and without effect, or there would be nothing to do

    def apply(self, machine: Machine, before: Before) -> Evidence:
        machine.run(["ufw", *self._rule, "comment", self.comment], timeout=_SECONDS)
        if not ufw.allows(ufw.rules(machine), self.source, self.port):
            raise StepFailed(
                f"an earlier rule still blocks {self.source} on port {self.port}: see `ufw status numbered`"
            )
        return {"added": " ".join(self._rule)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        if before["there"]:
            return {"kept": " ".join(self._rule)}
        # Deleting what is not there says so and exits 0 or 1; either way it is gone.
        machine.run(["ufw", "--force", "delete", *self._rule], timeout=_SECONDS, ok=(0, 1))
        return {"deleted": " ".join(self._rule)}

    def _is(self, rule: Rule) -> bool:
        same = (rule.action, rule.protocol, rule.source, rule.port) == ("allow", "tcp", self.source, str(self.port))
        return same and not rule.narrow and not rule.profile

    @property
    def _rule(self) -> list[str]:
        return ["allow", "proto", "tcp", "from", self.source, "to", "any", "port", str(self.port)]

    def describe(self) -> str:
        return "ufw " + " ".join(self._rule) + f" comment '{self.comment}'"


@wire
@dataclass(frozen=True)
class DeleteRule(Action):
    """Deletes a rule. Its undo inserts the same one before the rule that followed it.

    Among IPv6's rules UFW derives that position from the one for IPv4.
    """

    rule: tuple[str, ...]  # the words of UFW's own listing: allow, 3000/tcp, …

    def required_facts(self) -> FactsRequest:
        return FactsRequest(firewall=True)

    def noop_reason(self, facts: Facts) -> str:
        if not facts.firewall.active:
            return _INACTIVE
        return "" if self._position([rule.text for rule in facts.firewall.rules]) else "there is no such rule"

    def snapshot(self, facts: Facts) -> Before:
        lines = [rule.text for rule in facts.firewall.rules]
        return {"followed_by": lines[self._position(lines) :]}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        machine.run(["ufw", "--force", "delete", *self.bare], timeout=_SECONDS)
        if self._position(ufw.list_added(machine)):
            raise StepFailed(f"UFW did not delete the rule {' '.join(self.rule)}")
        return {"deleted": " ".join(self.rule)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        lines = ufw.list_added(machine)
        if self._position(lines):
            return {"kept": " ".join(self.rule)}
        position = next((number for number, line in enumerate(lines, 1) if line in texts(before, "followed_by")), 0)
        # UFW refuses to insert a rule for IPv4 before one for IPv6 alone: then it goes to the end.
        if not position or machine.run(["ufw", "insert", str(position), *self.rule], timeout=_SECONDS, ok=None).code:
            machine.run(["ufw", *self.rule], timeout=_SECONDS)
        if not self._position(ufw.list_added(machine)):
            raise StepFailed(f"UFW did not restore the rule {' '.join(self.rule)}")
        return {"added": " ".join(self.rule), "before": lines[position - 1] if position else ""}

    def _position(self, lines: list[str]) -> int:
        """Return this rule's number among UFW's lines, from 1; 0 when it is none of them."""
        return next((number for number, line in enumerate(lines, 1) if ufw.words(line) == self.rule), 0)

    @property
    def bare(self) -> tuple[str, ...]:
        """Return the rule without its comment, by which UFW does not identify a rule."""
        return self.rule[:-2] if self.rule[-2:-1] == ("comment",) else self.rule

    def describe(self) -> str:
        return "ufw delete " + " ".join(self.bare)
