"""What systemd says of units: the system's, or those of a user's own manager."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Sequence

from .facts import Unit
from .machine import Machine, StepFailed

_PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts,MainPID,Result,ControlGroup,NeedDaemonReload"


def systemctl(user: str) -> List[str]:
    """The first words of every systemctl call: to the system manager, or to the manager of `user`."""
    return ["systemctl", "--user"] if user else ["systemctl"]


def show(machine: Machine, units: Sequence[str], user: str = "") -> Dict[str, Unit]:
    """Facts of units, known to systemd or not, by name; one call for all. Raises StepFailed."""
    if not units:
        return {}
    argv = [*systemctl(user), "show", f"--property={_PROPERTIES}", "--", *units]
    result = machine.run(argv, user=user or None, timeout=10)
    blocks = [_fields(block) for block in result.out.strip().split("\n\n")]
    if len(blocks) != len(units):
        raise StepFailed(f"systemctl answered for {len(blocks)} units of {len(units)}", said=result.said)
    return {name: _unit(name, fields) for name, fields in zip(units, blocks)}


def manager_error(machine: Machine, user: str) -> str:
    """Why the user's own systemd manager cannot be used; empty when it can.

    Without lingering it exists only while the user is logged in, and the units would stop at logout.
    """
    if not Path("/var/lib/systemd/linger", user).exists():
        return f"lingering is off for {user}: run `loginctl enable-linger {user}` on the VPS"
    result = machine.run([*systemctl(user), "is-system-running"], user=user, timeout=10, ok=None)
    if result.out.strip() in ("running", "degraded", "starting"):
        return ""
    return f"the user manager of {user} does not answer: {result.said or 'no output'}"


def _fields(block: str) -> Dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _unit(name: str, fields: Dict[str, str]) -> Unit:
    return Unit(
        name=name,
        load=fields.get("LoadState", ""),
        active=fields.get("ActiveState", ""),
        sub=fields.get("SubState", ""),
        enabled=fields.get("UnitFileState", ""),
        restarts=int(fields.get("NRestarts") or 0),
        pid=int(fields.get("MainPID") or 0),
        result=fields.get("Result", ""),
        cgroup=fields.get("ControlGroup", ""),
        stale=fields.get("NeedDaemonReload") == "yes",
    )
