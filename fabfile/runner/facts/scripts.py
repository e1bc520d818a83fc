"""Static checks of units and scripts: neither is run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..system import systemd
from ..system.machine import CommandFailed, Machine, StepFailed, said
from ..wire.app import UnitFile

_TIMEOUT_SECONDS = 30.0  # for one script


def unit_errors(machine: Machine, files: Sequence[UnitFile]) -> dict[str, str]:
    """User of the manager (empty: the system's) → the complaints of `systemd.verify` about its units; empty is good.

    The units need not be installed.
    """
    users = dict.fromkeys(file.user for file in files)
    return {user: _verify(machine, [file for file in files if file.user == user], user) for user in users}


def script_errors(machine: Machine, scripts: Sequence[str], user: str) -> dict[str, str]:
    """Path → bash's complaints about the script's syntax; empty is good. Nothing in it is executed."""
    return {script: _check_syntax(machine, script, user) for script in scripts}


def _verify(machine: Machine, files: Sequence[UnitFile], user: str) -> str:
    with tempfile.TemporaryDirectory(prefix="islandflow-units-") as folder:
        os.chmod(folder, 0o755)  # the manager's user has to read them
        paths = [Path(folder, file.name) for file in files]
        for path, file in zip(paths, files):
            path.write_text(file.text)
            path.chmod(0o644)
        try:
            lines = systemd.verify(machine, [str(path) for path in paths], user)
        except StepFailed as error:
            return said(error)
    return "\n".join(lines).replace(f"{folder}/", "")


def _check_syntax(machine: Machine, script: str, user: str) -> str:
    """Bash's complaints about a script; its exit code where it fails without output."""
    try:
        result = machine.run(["bash", "-n", "--", script], user=user or None, timeout=_TIMEOUT_SECONDS, ok=None)
    except CommandFailed as error:
        return said(error)
    return (result.err + result.out).strip() or (f"bash ended with {result.code}" if result.code else "")
