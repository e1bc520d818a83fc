"""Opens, releases and closes the parking lot, in which requests wait instead of failing while no runtime serves.

systemd holds its listening sockets, so the kernel queues connections to them and never refuses one, whatever becomes
of the process behind them. That process accepts nothing until the lot is released, and then joins every connection
with the runtime that the lot was released to, the restored one included.

A lot is one transient unit, and one state file that its process reads again and again: the destinations, by port. No
destinations: every connection waits. No file: the lot is closed, and the process, in `parking_server`, ends with its
last connection.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from .recovery import last_runner
from .system.files import put, remove
from .system.machine import Machine

FOLDER = Path("/run/islandflow")
BACKLOG = 4096  # connections that wait; the kernel's own limit (net.core.somaxconn) is the same by default

Destinations = dict[int, tuple[str, int]]  # port of the lot → where its connections go


@dataclass(frozen=True)
class Lot:
    """An open parking lot, by the unit that holds its sockets."""

    unit: str
    folder: Path = FOLDER

    @property
    def state(self) -> Path:
        """Its state file."""
        return self.folder / f"{self.unit}.json"

    @property
    def acknowledgement(self) -> Path:
        """The file in which its process writes which state it has read: it may write nothing else."""
        return self.folder / f"{self.unit}.heard"

    def release(self, destinations: Destinations) -> str:
        """Send the connections to their destinations, those that wait and those to come; with none, hold them.

        Returns a token for `has_acknowledged`.
        """
        # The process behind the lot runs as nobody, so everybody may read the file; it has no more than addresses.
        token = secrets.token_hex(8)
        put(self.state, json.dumps({"exits": destinations, "turn": token}).encode(), 0o644, "root", "root")
        return token

    def has_acknowledged(self, token: str) -> bool:
        """Whether the process behind the lot has read the state of that release."""
        try:
            return self.acknowledgement.read_text() == token
        except OSError:
            return False


def current(folder: Path = FOLDER) -> Lot | None:
    """Return the open lot; None when there is none, as after a reboot."""
    try:
        name = os.readlink(folder / "parking")
    except FileNotFoundError:
        return None
    lot = Lot(name[: -len(".json")], folder)
    return lot if lot.state.exists() else None


def open_lot(machine: Machine, unit: str, address: str, ports: tuple[int, ...], folder: Path = FOLDER) -> Lot:
    """Open a lot on these ports of an address; every connection waits. Raises StepFailed, OSError."""
    lot = Lot(unit, folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # whatever it was: the process behind the lot runs as nobody
    lot.release({})
    (folder / "parking").unlink(missing_ok=True)
    (folder / "parking").symlink_to(lot.state.name)
    listen = [f"--socket-property=ListenStream={address}:{port}" for port in ports]
    machine.run(
        ["systemd-run", "--quiet", "--collect", f"--unit={unit}", "--description=Islandflow: requests wait here"]
        + listen
        + [f"--socket-property=Backlog={BACKLOG}", "--socket-property=FreeBind=yes", "--property=LimitNOFILE=65536"]
        + [sys.executable, "-I", str(last_runner(machine.ops)), "park", str(lot.state)]
    )
    # Not left to the first connection: started now, the process makes no request wait for it later.
    machine.run(["systemctl", "start", f"{unit}.service"])
    return lot


def is_open(machine: Machine, unit: str) -> bool:
    """Whether systemd holds this lot's sockets. Raises StepFailed."""
    return machine.run(["systemctl", "is-active", "--quiet", f"{unit}.socket"], ok=None).code == 0


def close(machine: Machine, unit: str, folder: Path = FOLDER) -> None:
    """Close a lot, open or half open. Connections that it has joined stay open. Raises StepFailed, OSError."""
    lot = Lot(unit, folder)
    if current(folder) == lot:
        remove(folder / "parking")
    remove(lot.state)
    remove(lot.acknowledgement)
    machine.run(["systemctl", "stop", f"{unit}.socket"], ok=(0, 5))  # 5: it is not loaded, or not any more
