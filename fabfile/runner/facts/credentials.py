"""With what the app logs in to its servers: the URLs in its own environment, read on the VPS and kept nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from ..system.machine import os_error_text
from ..wire.app import Environment, Setting
from .environment import in_force


@dataclass(frozen=True)
class Credentials:
    """User and password, either of which may be empty, and where they come from or why there are none."""

    user: str = ""
    password: str = field(default="", repr=False)
    origin: str = ""
    has_password: bool = False  # an empty one counts; without any, a user alone is a token to NATS

    def __bool__(self) -> bool:
        return bool(self.user or self.password)


def credentials(environment: Environment, variable: str) -> Credentials:
    """What the URL in an environment's variable logs in with. Never raises.

    The overrides win. Where they give an address only, the login is the env file's: that is where a secret belongs.
    """
    try:
        settings = _settings(environment, variable)
    except OSError as error:
        return Credentials(origin=f"{environment.env_file} can't be read ({os_error_text(error)})")
    except ValueError:  # its own words may quote what stands there
        reader = "Compose does not read" if environment.compose else "this is no text:"
        return Credentials(origin=f"{reader} {environment.env_file}")
    known = [of_setting(setting) for setting in settings]
    nowhere = Credentials(origin=f"{variable} {'holds none' if known else 'is not set'} in {environment.env_file}")
    return next((one for one in known if one), nowhere)


def own_login(environment: Environment, variable: str) -> Credentials:
    """The login that the app itself uses: of the variable as it is in force, and no other. Never raises."""
    try:
        setting = in_force(environment).get(variable)
    except (OSError, ValueError):  # which the settings' own facts report
        setting = None
    return of_setting(setting) if setting else Credentials()


def of_setting(setting: Setting) -> Credentials:
    """The login in an address, or in the first one of a list that has one."""
    for address in setting.value.split(","):
        try:
            url = urlsplit(address.strip())
            user, password = unquote(url.username or ""), unquote(url.password or "")
        except ValueError:
            continue
        if user or password:
            return Credentials(user, password, setting.origin, url.password is not None)
    return Credentials(origin=setting.origin)


def _settings(environment: Environment, variable: str) -> list[Setting]:
    """The variable as it is in force, then as the env file alone has it."""
    sides = (environment, replace(environment, planned={}, places={}))
    return [values[variable] for values in map(in_force, sides) if variable in values]
