"""The operator's own backup, before the data changes hands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..system.machine import CommandFailed, Evidence, Machine, StepFailed, failure_detail
from ..wire.codec import wire
from ..wire.terms import Runtime
from .base import Action
from .before import Before


@wire
@dataclass(frozen=True)
class Backup(Action):
    """Runs the operator's hook as root, with the coming hand-over in its environment, for at most `timeout` seconds."""

    argv: tuple[str, ...]
    data_root: str
    former: str
    to: Runtime
    timeout: float

    def apply(self, machine: Machine, before: Before) -> Evidence:
        environment = {
            "ISLANDFLOW_DATA_ROOT": self.data_root,
            "ISLANDFLOW_FROM": self.former,
            "ISLANDFLOW_TO": self.to,
        }
        try:
            result = machine.run(self.argv, env=environment, timeout=self.timeout, cwd="/")
        except CommandFailed as failure:
            raise StepFailed(
                f"the backup failed, so nothing is handed over: {failure_detail(failure)}", **_code(failure)
            ) from None
        return {"said": result.excerpt}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return {"kept": "whatever it has backed up"}

    def describe(self) -> str:
        return f"run `{' '.join(self.argv)}`"


def _code(failure: CommandFailed) -> dict[str, Any]:
    return {"code": failure.evidence["code"]} if "code" in failure.evidence else {}
