"""Static checks of units and scripts: neither is run."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..system import systemd
from ..system.machine import CommandFailed, Machine, StepFailed, failure_detail
from ..wire.app import UnitFile

_TIMEOUT_SECONDS = 30.0  # for one script


def unit_errors(machine: Machine, files: Sequence[UnitFile]) -> dict[str, str]:
    """User of the manager (empty: the system's) → the complaints of `systemd.verify` about its units; empty is good.

    The units need not be installed.
    """
    users = dict.fromkeys(file.user for file in files)
    return {user: _verify(machine, [file for file in files if file.user == user], user) for user in users}


def exposures(machine: Machine, files: Sequence[UnitFile]) -> tuple[dict[str, float], str]:
    """Unit → its score as `systemd.exposures` has it, and why there is none. The units need not be installed."""
    try:
        with _written(files) as paths:
            return systemd.exposures(machine, paths), ""
    except StepFailed as error:
        return {}, failure_detail(error)


def script_errors(machine: Machine, scripts: Sequence[str], user: str) -> dict[str, str]:
    """Path → bash's complaints about the script's syntax; empty is good. Nothing in it is executed."""
    return {script: _check_syntax(machine, script, user) for script in scripts}


def _verify(machine: Machine, files: Sequence[UnitFile], user: str) -> str:
    with _written(files) as paths:
        try:
            lines = systemd.verify(machine, paths, user)
        except StepFailed as error:
            return failure_detail(error)
        return "\n".join(lines).replace(f"{os.path.dirname(paths[0])}/", "")


@contextlib.contextmanager
def _written(files: Sequence[UnitFile]) -> Iterator[list[str]]:
    """The paths of the units, which are files for as long as they are looked at."""
    with tempfile.TemporaryDirectory(prefix="islandflow-units-") as folder:
        os.chmod(folder, 0o755)  # the manager's user has to read them
        paths = [Path(folder, file.name) for file in files]
        for path, file in zip(paths, files):
            path.write_text(file.text)
            path.chmod(0o644)
        yield [str(path) for path in paths]


def _check_syntax(machine: Machine, script: str, user: str) -> str:
    """Bash's complaints about a script; its exit code where it fails without output."""
    try:
        result = machine.run(["bash", "-n", "--", script], user=user or None, timeout=_TIMEOUT_SECONDS, ok=None)
    except CommandFailed as error:
        return failure_detail(error)
    return (result.err + result.out).strip() or (f"bash ended with {result.code}" if result.code else "")
