"""Starts, stops, restarts, enables and disables systemd units, each with its undo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..system import systemd
from ..system.machine import Evidence, Machine
from ..wire.codec import wire
from ..wire.facts import Facts, FactsRequest, Unit, Workload
from .base import Action
from .before import Before, texts
from .keep_aside import proven

_STARTED_STATES = ("active", "activating", "reloading")


@dataclass(frozen=True)
class _OnUnits(Action):
    """Units of the system, or of `user`'s own manager, and how long systemctl may take (seconds)."""

    units: tuple[str, ...]
    user: str = ""
    timeout: float = 60.0

    def required_facts(self) -> FactsRequest:
        return FactsRequest(user=self.user, user_units=self.units) if self.user else FactsRequest(units=self.units)

    def unreadable_reason(self, facts: Facts) -> str:
        return facts.user_manager if self.user else ""

    def _workloads(self) -> tuple[Workload, ...]:
        return tuple(Workload(name, "native", unit=name, user=self.user) for name in self.units)

    def _units(self, facts: Facts) -> list[Unit]:
        units = [facts.unit(name, self.user) for name in self.units]
        return [unit for unit in units if unit is not None]

    def _names(self, facts: Facts, *, active: bool) -> list[str]:
        return [unit.name for unit in self._units(facts) if (unit.active in _STARTED_STATES) == active]

    def _systemctl(self, machine: Machine, verb: str, units: Sequence[str]) -> None:
        if units:
            argv = [*systemd.systemctl(self.user), verb, "--", *units]
            machine.run(argv, user=self.user or None, timeout=self.timeout)

    def _stop(self, machine: Machine, units: Sequence[str]) -> Evidence:
        failed = systemd.stop(machine, units, self.user, self.timeout)
        return {"stopped": list(units), **({"ended_badly": failed} if failed else {})}

    @property
    def _list(self) -> str:
        return ", ".join(self.units) + (f" (user {self.user})" if self.user else "")


@wire
@dataclass(frozen=True)
class Start(_OnUnits):
    """Starts units side by side; those that run already are left alone.

    With `unproven` its undo kills them, until a comparison has shown that they have all their data.
    """

    unproven: bool = False

    def noop_reason(self, facts: Facts) -> str:
        running = [unit for unit in self._units(facts) if unit.up]
        return "all run" if len(running) == len(self.units) else ""

    def snapshot(self, facts: Facts) -> Before:
        return {"down": [unit.name for unit in self._units(facts) if not unit.up]}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        # A unit that hit its start limit would refuse; one that is not loaded yet has nothing to reset.
        argv = [*systemd.systemctl(self.user), "reset-failed", "--", *texts(before, "down")]
        machine.run(argv, user=self.user or None, timeout=self.timeout, ok=None)
        self._systemctl(machine, "start", texts(before, "down"))
        return {"started": texts(before, "down")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        if self.unproven and not proven(machine):
            systemd.kill(machine, texts(before, "down"), self.timeout)
            return {"killed": texts(before, "down")}
        return self._stop(machine, texts(before, "down"))

    def about(self) -> tuple[Workload, ...]:
        return self._workloads()

    def describe(self) -> str:
        return f"start {self._list}"


@wire
@dataclass(frozen=True)
class Stop(_OnUnits):
    """Stops units side by side; systemd kills what does not end in its own time."""

    def noop_reason(self, facts: Facts) -> str:
        return "" if self._names(facts, active=True) else "none runs"

    def snapshot(self, facts: Facts) -> Before:
        return {"up": self._names(facts, active=True)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        return self._stop(machine, texts(before, "up"))

    def undo(self, machine: Machine, before: Before) -> Evidence:
        self._systemctl(machine, "start", texts(before, "up"))
        return {"started": texts(before, "up")}

    def describe(self) -> str:
        return f"stop {self._list}"


@wire
@dataclass(frozen=True)
class Restart(_OnUnits):
    """Restarts units, running or not. Its undo stops those that were down before."""

    def snapshot(self, facts: Facts) -> Before:
        return {"down": self._names(facts, active=False)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self._systemctl(machine, "restart", self.units)
        return {"restarted": list(self.units)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return self._stop(machine, texts(before, "down"))

    def about(self) -> tuple[Workload, ...]:
        return self._workloads()

    def describe(self) -> str:
        return f"restart {self._list}"


@wire
@dataclass(frozen=True)
class Enable(_OnUnits):
    """Makes units start at boot."""

    def noop_reason(self, facts: Facts) -> str:
        return "" if self._not_enabled(facts) else "all start at boot"

    def snapshot(self, facts: Facts) -> Before:
        return {"off": self._not_enabled(facts)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self._systemctl(machine, "enable", texts(before, "off"))
        return {"enabled": texts(before, "off")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        self._systemctl(machine, "disable", texts(before, "off"))
        return {"disabled": texts(before, "off")}

    def _not_enabled(self, facts: Facts) -> list[str]:
        return [unit.name for unit in self._units(facts) if unit.enabled != "enabled"]

    def describe(self) -> str:
        return f"enable at boot {self._list}"


@wire
@dataclass(frozen=True)
class Disable(_OnUnits):
    """Keeps units from starting at boot; units that are not installed are disabled already."""

    def noop_reason(self, facts: Facts) -> str:
        return "" if self._enabled(facts) else "none starts at boot"

    def snapshot(self, facts: Facts) -> Before:
        return {"on": self._enabled(facts)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self._systemctl(machine, "disable", texts(before, "on"))
        return {"disabled": texts(before, "on")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        self._systemctl(machine, "enable", texts(before, "on"))
        return {"enabled": texts(before, "on")}

    def _enabled(self, facts: Facts) -> list[str]:
        return [unit.name for unit in self._units(facts) if unit.enabled in ("enabled", "enabled-runtime")]

    def describe(self) -> str:
        return f"disable at boot {self._list}"
