"""With what the app logs in to its NATS: NATS_URL of its own environment, read on the VPS, for NATS' eyes only."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote, urlsplit

from ...wire.app import Environment, Setting
from ..environment import in_force
from .client import Login, words

VARIABLE = "NATS_URL"


def login(environment: Environment) -> Login:
    """What the environment's NATS_URL logs in with; nothing, and why, where it holds no login. Never raises.

    The overrides win. Where they give an address only, the login is the env file's: that is where a secret belongs.
    """
    try:
        found = _settings(environment)
    except OSError as error:
        return Login(origin=f"{environment.env_file} can't be read ({words(error)})")
    except ValueError:  # its own words may quote what stands there
        reader = "Compose does not read" if environment.compose else "this is no text:"
        return Login(origin=f"{reader} {environment.env_file}")
    logins = [_of(setting) for setting in found]
    # Even where only the overrides name it: they are written by us, from an inventory that is no place for secrets.
    nowhere = Login(origin=f"{VARIABLE} {'holds none' if logins else 'is not set'} in {environment.env_file}")
    return next((one for one in logins if one.options()), nowhere)


def _settings(environment: Environment) -> list[Setting]:
    """The variable as it is in force, then as the env file alone has it."""
    sides = (environment, replace(environment, planned={}))
    return [found[VARIABLE] for found in map(in_force, sides) if VARIABLE in found]


def _of(setting: Setting) -> Login:
    """The login in an address, or in the first one of a list that has one: nats://user:password@host, nats://token@host."""
    for address in setting.value.split(","):
        try:
            url = urlsplit(address.strip())
            user, password = unquote(url.username or ""), unquote(url.password or "")
        except ValueError:
            continue
        if user and url.password is None:
            return Login(token=user, origin=setting.origin)
        if user or password:
            return Login(user, password, origin=setting.origin)
    return Login(origin=setting.origin)
