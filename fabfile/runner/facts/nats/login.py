"""The app's login to its NATS: NATS_URL of its own environment, read on the VPS and sent to NATS alone."""

from __future__ import annotations

from ...wire.app import Environment
from ..credentials import Credentials, credentials, own_login
from .client import Login

VARIABLE = "NATS_URL"


def login(environment: Environment) -> Login:
    """The login in the environment's NATS_URL; an empty one, and why, where it holds none. Never raises."""
    return _login(credentials(environment, VARIABLE))


def apps_own(environment: Environment) -> Login | None:
    """The login that the app itself uses; None where it logs in without any. Never raises."""
    known = own_login(environment, VARIABLE)
    return _login(known) if known else None


def _login(known: Credentials) -> Login:
    if known.user and not known.has_password:  # nats://TOKEN@HOST
        return Login(token=known.user, origin=known.origin)
    return Login(known.user, known.password, origin=known.origin)
