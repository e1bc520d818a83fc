"""The app's settings, written for systemd."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..facts.settings import text_of
from ..system.files import clear, put, remove
from ..system.machine import Evidence, Machine, StepFailed, os_error_text
from ..wire.codec import wire
from ..wire.facts import Facts, FactsRequest
from ..wire.settings import SettingsFile
from .base import Action
from .before import Before, number, text


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


def _former_settings(machine: Machine) -> Path:
    return machine.backups / "settings.env"
