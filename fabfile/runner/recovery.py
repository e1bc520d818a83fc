"""Installs the unit that, after a reboot or a crash, reverts every plan whose journal is unfinished."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from .system.files import put
from .system.machine import CommandFailed, Machine, StepFailed

UNIT = Path("/etc/systemd/system/islandflow-recover.service")
LINK = "runner.pyz"  # the zipapp of the last plan, for the unit to start
BOOT_SECONDS = 600.0  # how long a boot may take before plans are undone without waiting for its end

_TEXT = """\
# Written with every plan that is shipped: a change here is lost with the next one.
[Unit]
Description=Islandflow: revert a plan that a reboot interrupted
ConditionPathExists={runner}

[Service]
# Not oneshot: it waits until the system is up, which must not wait for it.
Type=exec
ExecStart={python} -I {runner} recover

[Install]
WantedBy=multi-user.target
"""


def install(root: Path, runner: Path, machine: Machine, unit: Path = UNIT) -> None:
    """Install and enable the unit, so that the next boot reverts unfinished plans. Raises StepFailed, OSError."""
    temporary = root / f".{LINK}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(runner.name)
    os.replace(temporary, root / LINK)
    text = _TEXT.format(python=sys.executable, runner=root / LINK)
    if unit.exists() and unit.read_text() == text:
        return
    put(unit, text.encode(), 0o644, "root", "root")
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "enable", unit.name])


def last_runner(root: Path) -> Path:
    """The zipapp of the last plan that was shipped; where its link is lost, the latest one. Raises StepFailed."""
    runner = (root / LINK).resolve()
    if runner.is_file():
        return runner
    others = sorted(root.glob("runner-*.pyz"), key=lambda path: path.stat().st_mtime)
    if not others:
        raise StepFailed(f"no runner is left in {root}: the files of past plans have been deleted there")
    return others[-1]


def under_way(machine: Machine) -> bool:
    """Whether interrupted plans are being reverted, or will be once the system has booted. Raises CommandFailed."""
    unit = machine.run(["systemctl", "is-active", UNIT.name], ok=None).out.strip()
    system = machine.run(["systemctl", "is-system-running"], ok=None).out.strip()
    return unit in ("active", "activating") or system in ("initializing", "starting")


def await_boot(machine: Machine, seconds: float = BOOT_SECONDS) -> None:
    """Wait until systemd has started everything, user managers included: undoing needs Docker and them.

    After `seconds` it returns all the same. One unit that never ends its start must not keep a plan half-way.
    """
    with contextlib.suppress(CommandFailed):
        machine.run(["systemctl", "is-system-running", "--wait"], timeout=seconds, ok=None)
