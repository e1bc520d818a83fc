"""With what the app logs in to its NATS: NATS_URL of its own environment, read on the VPS, for NATS' eyes only."""

from __future__ import annotations

from ...wire.app import Environment
from ..credentials import credentials
from .client import Login

VARIABLE = "NATS_URL"


def login(environment: Environment) -> Login:
    """What the environment's NATS_URL logs in with; nothing, and why, where it holds no login. Never raises."""
    known = credentials(environment, VARIABLE)
    if known.user and not known.has_password:  # nats://TOKEN@HOST
        return Login(token=known.user, origin=known.origin)
    return Login(known.user, known.password, origin=known.origin)
