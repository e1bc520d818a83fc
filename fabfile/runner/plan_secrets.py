"""Passes secrets from the connection that ships a plan to the process that executes it.

systemd starts that process: others can read a unit's arguments and environment, and a credential in its properties
too. So a secret is stored in a file that only root can read, on a file system in memory (/run), and is deleted as it is
read; one that was never read is gone with the next boot at the latest. A plan that is reverted after a crash needs
none: no undo uses one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from .wire import shape

FOLDER = Path("/run/islandflow/secrets")


def store(plan_id: str, secrets: Mapping[str, str]) -> None:
    """Store the secrets for the plan's process. Raises OSError."""
    if not secrets:
        return
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    FOLDER.chmod(0o700)
    descriptor = os.open(FOLDER / plan_id, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w") as file:
        json.dump(dict(secrets), file)


def pop(plan_id: str) -> dict[str, str]:
    """Read and delete a plan's secrets, which from then on are in memory only; empty when it has none."""
    try:
        text = (FOLDER / plan_id).read_text()
    except FileNotFoundError:
        return {}
    discard(plan_id)
    secrets: dict[str, str] = shape.parse(text)
    return secrets


def discard(plan_id: str) -> None:
    """Delete a plan's secrets if its process has not read them."""
    (FOLDER / plan_id).unlink(missing_ok=True)
