"""The app's own: its code, moved to another commit with its dependencies and builds, and its settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..facts.environment import env_file
from ..facts.settings import text_of
from ..system import git, systemd
from ..system.files import clear, put, remove
from ..system.machine import Evidence, Machine, StepFailed, os_error_text
from ..wire.codec import wire
from ..wire.compose import Compose
from ..wire.facts import Facts, FactsRequest, Workload
from ..wire.settings import SettingsFile
from .base import Action
from .before import Before, number, text


@wire
@dataclass(frozen=True)
class Command:
    """A command in a folder, with its own deadline (seconds), and variables of an env file, as Compose reads it.

    `env` names them, all that begin so with a * at the end. Their values are read when the command starts, on the VPS,
    so that none travels in a plan.
    """

    cwd: str
    argv: tuple[str, ...]
    timeout: float = 600.0
    env_file: str = ""
    env: tuple[str, ...] = ()
    project: Compose | None = None  # whose variables the env file may name

    def variables(self) -> dict[str, str]:
        """Return the variables and their values. Raises StepFailed where the env file can't be read."""
        if not self.env_file:
            return {}
        try:
            values = env_file(self.env_file, self.project)
        except (OSError, ValueError) as error:
            raise StepFailed(f"{self.env_file}, with the build's variables, can't be read: {error}") from error
        return {name: value for name, value in values.items() if any(_matches(name, pattern) for pattern in self.env)}


@wire
@dataclass(frozen=True)
class Release(Action):
    """Moves the checkout to `ref`, runs the commands that install and build, and restarts the user units.

    Its undo does the same with the former commit, so that a failed build leaves the code as it was. Of the tracked
    files, builds may write those in `rewritten`: they are restored after each build, so that git reports no change.
    """

    checkout: str
    user: str
    ref: str
    commands: tuple[Command, ...]
    units: tuple[str, ...]
    timeout: float = 300.0  # seconds, for each command of git and systemctl
    rewritten: tuple[str, ...] = ()  # relative to the checkout

    def required_facts(self) -> FactsRequest:
        return FactsRequest(checkout=self.checkout, user=self.user)

    def unreadable_reason(self, facts: Facts) -> str:
        return "" if facts.checkout else f"{self.checkout}: {facts.checkout_error}"

    def snapshot(self, facts: Facts) -> Before:
        assert facts.checkout is not None
        return {"back": facts.checkout.branch or facts.checkout.head, "head": facts.checkout.head}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        if git.run(machine, self.checkout, self.user, "remote").strip():
            git.run(machine, self.checkout, self.user, "fetch", "--all", "--tags", timeout=self.timeout)
        commit = git.run(machine, self.checkout, self.user, "rev-parse", "--verify", f"{self.ref}^{{commit}}").strip()
        machine.backups.mkdir(mode=0o700, parents=True, exist_ok=True)
        put(_move_mark(machine), b"", 0o600, str(os.geteuid()), str(os.getegid()))
        git.discard(machine, self.checkout, self.user, self.rewritten)
        git.run(machine, self.checkout, self.user, "checkout", "--quiet", "--detach", commit, "--")
        self._build(machine)
        return {
            "from": text(before, "head"),
            "to": git.run(machine, self.checkout, self.user, "rev-parse", "HEAD").strip(),
        }

    def undo(self, machine: Machine, before: Before) -> Evidence:
        if not _move_mark(machine).exists():
            return {"why": "the code was not moved, and nothing was restarted"}
        # --force: the build wrote what differs now; preflight refuses a checkout with changes.
        git.run(machine, self.checkout, self.user, "checkout", "--quiet", "--force", text(before, "back"), "--")
        self._build(machine)
        return {"to": text(before, "head")}

    def _build(self, machine: Machine) -> None:
        for command in self.commands:
            env = command.variables()
            machine.run(command.argv, user=self.user, cwd=command.cwd, timeout=command.timeout, env=env)
        git.discard(machine, self.checkout, self.user, self.rewritten)
        argv = [*systemd.systemctl(self.user), "restart", "--", *self.units]
        machine.run(argv, user=self.user, timeout=self.timeout)

    def about(self) -> tuple[Workload, ...]:
        return tuple(Workload(name, "native", unit=name, user=self.user) for name in self.units)

    def describe(self) -> str:
        return f"move {self.checkout} to {self.ref}, install, build and restart {', '.join(self.units)}"


@wire
@dataclass(frozen=True)
class WriteSettings(Action):
    """Writes what Compose reads in the app's env file so that systemd reads the same, with native servers' addresses.

    Neither the plan nor the journal has a value of it. What stood there before is kept in the plan's backups.
    """

    file: SettingsFile

    def required_facts(self) -> FactsRequest:
        return FactsRequest(settings_file=self.file)

    def unreadable_reason(self, facts: Facts) -> str:
        return facts.settings_file.problem if facts.settings_file else "nobody looked at the app's settings"

    def noop_reason(self, facts: Facts) -> str:
        assert facts.settings_file is not None
        return "" if facts.settings_file.differs else f"{self.file.path} says what {self.file.env_file} does"

    def snapshot(self, facts: Facts) -> Before:
        fact = facts.settings_file
        assert fact is not None
        return {"kind": fact.kind, "mode": fact.mode, "owner": fact.owner, "group": fact.group, "why": fact.differs}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        path, kind = Path(self.file.path), text(before, "kind")
        if kind not in ("file", "missing"):
            raise StepFailed(f"{path} is in the way: {kind}, not a plain file; move it elsewhere, then try again")
        try:
            content = text_of(self.file).encode()
            if kind == "file" and not _former_settings(machine).exists():
                machine.backups.mkdir(mode=0o700, parents=True, exist_ok=True)
                put(_former_settings(machine), path.read_bytes(), 0o600, "root", "root")
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            put(path, content, self.file.mode, self.file.owner, self.file.group)
        except (OSError, LookupError) as error:
            raise StepFailed(f"{path} can't be written: {os_error_text(error)}") from error
        except ValueError as error:  # the file changed since it was read; a UnicodeError would quote it
            raise StepFailed(f"Compose does not take {self.file.env_file}; correct it, then try again") from error
        return {"written": [self.file.path], "why": text(before, "why")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        path = Path(self.file.path)
        clear(path)
        if text(before, "kind") == "missing":
            remove(path)
        elif _former_settings(machine).exists():  # without a backup the write never began
            owner, group = text(before, "owner"), text(before, "group")
            put(path, _former_settings(machine).read_bytes(), number(before, "mode"), owner, group)
        return {"restored": [self.file.path]}

    def describe(self) -> str:
        return f"write {self.file.path}: what Compose reads in {self.file.env_file}, for systemd"


def _move_mark(machine: Machine) -> Path:
    """Return the file that marks that the code is about to move: without it there is nothing to undo."""
    return machine.backups / "release-moved"


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _former_settings(machine: Machine) -> Path:
    return machine.backups / "settings.env"
