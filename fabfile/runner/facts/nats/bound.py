"""Which durables of a runtime's JetStream are bound, and what is wrong with those of a workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...wire.app import Consumer


@dataclass(frozen=True)
class Durables:
    """All durables of a runtime's JetStream by name, or why they can't be read."""

    known: dict[str, Consumer] = field(default_factory=dict)
    problem: str = ""

    def problem_of(self, names: Sequence[str]) -> str:
        """What is wrong with these; empty where each is bound or fetched from."""
        if self.problem:
            return f"can't check whether its durables are bound: {self.problem}"
        known = {name: self.known[name] for name in sorted(names) if name in self.known}
        unbound = {
            "there is no durable": [name for name in sorted(names) if name not in known],
            "durables not bound": [name for name, durable in known.items() if not durable.bound and not durable.pull],
            "nobody fetches from": [name for name, durable in known.items() if not durable.bound and durable.pull],
        }
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in unbound.items() if names)
