"""After a reboot in the middle of a plan: a unit that looks for an unfinished journal and reverts the plan."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .system.files import put
from .system.machine import Machine

UNIT = Path("/etc/systemd/system/islandflow-recover.service")
LINK = "runner.pyz"  # the zipapp of the last plan, for the unit to start

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
    """Make sure that the next boot looks for unfinished plans, with this runner. Raises StepFailed, OSError."""
    beside = root / f".{LINK}"
    beside.unlink(missing_ok=True)
    beside.symlink_to(runner.name)
    os.replace(beside, root / LINK)
    text = _TEXT.format(python=sys.executable, runner=root / LINK)
    if unit.exists() and unit.read_text() == text:
        return
    put(unit, text.encode(), 0o644, "root", "root")
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "enable", unit.name])


def under_way(machine: Machine) -> bool:
    """Whether interrupted plans are being reverted, or will be once the system has booted. Raises CommandFailed."""
    unit = machine.run(["systemctl", "is-active", UNIT.name], ok=None).out.strip()
    system = machine.run(["systemctl", "is-system-running"], ok=None).out.strip()
    return unit in ("active", "activating") or system in ("initializing", "starting")


def await_boot(machine: Machine) -> None:
    """Wait until systemd has started everything, user managers included; undoing needs Docker and them."""
    machine.run(["systemctl", "is-system-running", "--wait"], timeout=600, ok=None)
