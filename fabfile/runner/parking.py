"""The parking lot: while nobody owns the app, requests wait in it instead of failing.

systemd holds its listening sockets, so connections to them are queued by the kernel and never refused, whatever
becomes of the process behind them. That process accepts nothing until the lot is released, and then passes every
connection on to the runtime that the lot was released to, the restored one included.

A lot is one transient unit, and one state file that its process reads again and again: the exits, by port. No exits:
everybody waits. No file: the lot is closed, and the process, in `parking_server`, ends with its last connection.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from .system.files import put, remove
from .system.machine import Machine

FOLDER = Path("/run/islandflow")
BACKLOG = 4096  # connections that wait; the kernel's own limit (net.core.somaxconn) is the same by default

Exits = dict[int, tuple[str, int]]  # port of the lot → where its connections go


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
    def heard(self) -> Path:
        """Where its process says which state it has read: it may write nothing else."""
        return self.folder / f"{self.unit}.heard"

    def release(self, exits: Exits) -> str:
        """Let the connections through to their exits, those that wait and those to come; with none, hold them.

        Returns what `has_heard` is asked with.
        """
        # The process behind the lot is nobody's, so everybody may read it; it holds no more than addresses.
        turn = secrets.token_hex(8)
        put(self.state, json.dumps({"exits": exits, "turn": turn}).encode(), 0o644, "root", "root")
        return turn

    def has_heard(self, turn: str) -> bool:
        """Whether the process behind the lot acts by this release."""
        try:
            return self.heard.read_text() == turn
        except OSError:
            return False


def current(folder: Path = FOLDER) -> Lot | None:
    """The lot that is open; None when there is none, as after a reboot."""
    try:
        name = os.readlink(folder / "parking")
    except FileNotFoundError:
        return None
    lot = Lot(name[: -len(".json")], folder)
    return lot if lot.state.exists() else None


def begin(machine: Machine, unit: str, address: str, ports: tuple[int, ...], folder: Path = FOLDER) -> Lot:
    """Open a lot on these ports of an address; everybody who connects waits. Raises StepFailed, OSError."""
    lot = Lot(unit, folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # whatever it was: the process behind the lot is nobody's
    lot.release({})
    (folder / "parking").unlink(missing_ok=True)
    (folder / "parking").symlink_to(lot.state.name)
    listen = [f"--socket-property=ListenStream={address}:{port}" for port in ports]
    machine.run(
        ["systemd-run", "--quiet", "--collect", f"--unit={unit}", "--description=Islandflow: requests wait here"]
        + listen
        + [f"--socket-property=Backlog={BACKLOG}", "--socket-property=FreeBind=yes", "--property=LimitNOFILE=65536"]
        + [sys.executable, "-I", str((machine.ops / "runner.pyz").resolve()), "park", str(lot.state)]
    )
    # Not left to the first connection: it starts in its own time now, and nobody waits for it later.
    machine.run(["systemctl", "start", f"{unit}.service"])
    return lot


def is_open(machine: Machine, unit: str) -> bool:
    """Whether systemd holds this lot's sockets. Raises StepFailed."""
    return machine.run(["systemctl", "is-active", "--quiet", f"{unit}.socket"], ok=None).code == 0


def close(machine: Machine, unit: str, folder: Path = FOLDER) -> None:
    """Close a lot, open or half open. What passes through it goes on to its end. Raises StepFailed, OSError."""
    lot = Lot(unit, folder)
    if current(folder) == lot:
        remove(folder / "parking")
    remove(lot.state)
    remove(lot.heard)
    machine.run(["systemctl", "stop", f"{unit}.socket"], ok=(0, 5))  # 5: it is not loaded, or not any more
