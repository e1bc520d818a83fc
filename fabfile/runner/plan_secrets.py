"""How a secret gets from the connection that a plan came by to the process that carries it out.

That process is started by systemd: arguments and environment of a unit can be read by others, and a credential
set in its properties too. So the secret waits in a file on a file system that is in memory only (/run), for
root's eyes, and is deleted as it is read; what nobody came to read is gone with the next boot at the latest.
A plan that is reverted after a crash needs none: no undo asks for one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path("/run/islandflow/secrets")


def leave(plan_id: str, secrets: Mapping[str, str]) -> None:
    """Have the secrets wait for the plan's process. Raises OSError."""
    if not secrets:
        return
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    FOLDER.chmod(0o700)
    handle = os.open(FOLDER / plan_id, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(handle, "w") as file:
        json.dump(dict(secrets), file)


def take(plan_id: str) -> dict[str, str]:
    """The secrets of a plan, which are nowhere but in memory from then on; empty when it has none."""
    try:
        text = (FOLDER / plan_id).read_text()
    except FileNotFoundError:
        return {}
    discard(plan_id)
    secrets: dict[str, str] = json.loads(text)
    return secrets


def discard(plan_id: str) -> None:
    """Delete what a plan's process never read, if it is still there."""
    (FOLDER / plan_id).unlink(missing_ok=True)
