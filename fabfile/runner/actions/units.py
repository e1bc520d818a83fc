"""systemd's verbs, each with what undoes it."""

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

_STARTED = ("active", "activating", "reloading")


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

    def _each(self) -> tuple[Workload, ...]:
        return tuple(Workload(name, "native", unit=name, user=self.user) for name in self.units)

    def _found(self, facts: Facts) -> list[Unit]:
        units = [facts.unit(name, self.user) for name in self.units]
        return [unit for unit in units if unit is not None]

    def _chosen(self, facts: Facts, *, active: bool) -> list[str]:
        return [unit.name for unit in self._found(facts) if (unit.active in _STARTED) == active]

    def _ctl(self, machine: Machine, verb: str, units: Sequence[str]) -> None:
        if units:
            argv = [*systemd.systemctl(self.user), verb, "--", *units]
            machine.run(argv, user=self.user or None, timeout=self.timeout)

    def _put_down(self, machine: Machine, units: Sequence[str]) -> Evidence:
        bad = systemd.stop(machine, units, self.user, self.timeout)
        return {"stopped": list(units), **({"ended_badly": bad} if bad else {})}

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
        running = [unit for unit in self._found(facts) if unit.running]
        return "all run" if len(running) == len(self.units) else ""

    def snapshot(self, facts: Facts) -> Before:
        return {"down": [unit.name for unit in self._found(facts) if not unit.running]}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        # A unit that hit its start limit would refuse; one that is not loaded yet has nothing to reset.
        argv = [*systemd.systemctl(self.user), "reset-failed", "--", *texts(before, "down")]
        machine.run(argv, user=self.user or None, timeout=self.timeout, ok=None)
        self._ctl(machine, "start", texts(before, "down"))
        return {"started": texts(before, "down")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        if self.unproven and not proven(machine):
            systemd.kill(machine, texts(before, "down"), self.timeout)
            return {"killed": texts(before, "down")}
        return self._put_down(machine, texts(before, "down"))

    def about(self) -> tuple[Workload, ...]:
        return self._each()

    def describe(self) -> str:
        return f"start {self._list}"


@wire
@dataclass(frozen=True)
class Stop(_OnUnits):
    """Stops units side by side; systemd kills what does not end in its own time."""

    def noop_reason(self, facts: Facts) -> str:
        return "" if self._chosen(facts, active=True) else "none runs"

    def snapshot(self, facts: Facts) -> Before:
        return {"up": self._chosen(facts, active=True)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        return self._put_down(machine, texts(before, "up"))

    def undo(self, machine: Machine, before: Before) -> Evidence:
        self._ctl(machine, "start", texts(before, "up"))
        return {"started": texts(before, "up")}

    def describe(self) -> str:
        return f"stop {self._list}"


@wire
@dataclass(frozen=True)
class Restart(_OnUnits):
    """Restarts units, running or not. Taking it back stops those that were down before."""

    def snapshot(self, facts: Facts) -> Before:
        return {"down": self._chosen(facts, active=False)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self._ctl(machine, "restart", self.units)
        return {"restarted": list(self.units)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return self._put_down(machine, texts(before, "down"))

    def about(self) -> tuple[Workload, ...]:
        return self._each()

    def describe(self) -> str:
        return f"restart {self._list}"


@wire
@dataclass(frozen=True)
class Enable(_OnUnits):
    """Makes units start at boot."""

    def noop_reason(self, facts: Facts) -> str:
        return "" if self._off(facts) else "all start at boot"

    def snapshot(self, facts: Facts) -> Before:
        return {"off": self._off(facts)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self._ctl(machine, "enable", texts(before, "off"))
        return {"enabled": texts(before, "off")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        self._ctl(machine, "disable", texts(before, "off"))
        return {"disabled": texts(before, "off")}

    def _off(self, facts: Facts) -> list[str]:
        return [unit.name for unit in self._found(facts) if unit.enabled != "enabled"]

    def describe(self) -> str:
        return f"enable at boot {self._list}"


@wire
@dataclass(frozen=True)
class Disable(_OnUnits):
    """Keeps units from starting at boot; units that are not installed are disabled already."""

    def noop_reason(self, facts: Facts) -> str:
        return "" if self._on(facts) else "none starts at boot"

    def snapshot(self, facts: Facts) -> Before:
        return {"on": self._on(facts)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        self._ctl(machine, "disable", texts(before, "on"))
        return {"disabled": texts(before, "on")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        self._ctl(machine, "enable", texts(before, "on"))
        return {"enabled": texts(before, "on")}

    def _on(self, facts: Facts) -> list[str]:
        return [unit.name for unit in self._found(facts) if unit.enabled in ("enabled", "enabled-runtime")]

    def describe(self) -> str:
        return f"disable at boot {self._list}"
