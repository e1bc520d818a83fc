"""The app's login to its NATS: NATS_URL of its own environment, read on the VPS and sent to NATS alone."""

from __future__ import annotations

from ...wire.app import Environment
from ..credentials import credentials
from .client import Login

VARIABLE = "NATS_URL"


def login(environment: Environment) -> Login:
    """The login in the environment's NATS_URL; an empty one, and why, where it holds none. Never raises."""
    known = credentials(environment, VARIABLE)
    if known.user and not known.has_password:  # nats://TOKEN@HOST
        return Login(token=known.user, origin=known.origin)
    return Login(known.user, known.password, origin=known.origin)
