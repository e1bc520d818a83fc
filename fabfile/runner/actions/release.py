"""The app's code: moved to another commit with its dependencies and builds, or left where it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Tuple

from .. import git, systemd
from ..codec import wire
from ..facts import Facts, Wanted
from ..machine import Evidence, Machine
from ..model import Action


@wire
@dataclass(frozen=True)
class Command:
    """A command in a folder."""

    cwd: str
    argv: Tuple[str, ...]


@wire
@dataclass(frozen=True)
class Release(Action):
    """Moves the checkout to `ref`, runs the commands that install and build, and restarts the user units.

    The way back is the same way with the former commit, so that a failed build leaves nothing moved.
    """

    checkout: str
    user: str
    ref: str
    commands: Tuple[Command, ...]
    units: Tuple[str, ...]
    timeout: float = 300.0  # seconds, for each command

    def wants(self) -> Wanted:
        return Wanted(checkout=self.checkout, user=self.user)

    def unknown(self, facts: Facts) -> str:
        return "" if facts.checkout else f"{self.checkout}: {facts.checkout_error}"

    def before(self, facts: Facts) -> Dict[str, Any]:
        assert facts.checkout is not None
        return {"back": facts.checkout.branch or facts.checkout.head, "head": facts.checkout.head}

    def do(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        if git.run(machine, self.checkout, self.user, "remote").strip():
            git.run(machine, self.checkout, self.user, "fetch", "--all", "--tags", timeout=self.timeout)
        git.run(machine, self.checkout, self.user, "checkout", "--quiet", "--detach", self.ref, "--")
        self._build(machine)
        return {
            "from": before["head"],
            "to": git.run(machine, self.checkout, self.user, "rev-parse", "HEAD").strip(),
        }

    def restore(self, machine: Machine, before: Dict[str, Any]) -> Evidence:
        # --force: what differs now was made by the build; changes of somebody's were refused by preflight.
        git.run(machine, self.checkout, self.user, "checkout", "--quiet", "--force", before["back"], "--")
        self._build(machine)
        return {"to": before["head"]}

    def _build(self, machine: Machine) -> None:
        for command in self.commands:
            machine.run(command.argv, user=self.user, cwd=command.cwd, timeout=self.timeout)
        argv = [*systemd.systemctl(self.user), "restart", "--", *self.units]
        machine.run(argv, user=self.user, timeout=self.timeout)

    def describe(self) -> str:
        return f"move {self.checkout} to {self.ref}, install, build and restart {', '.join(self.units)}"
