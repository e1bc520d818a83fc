"""Facts about the app's settings in both runtimes, as data. Names leave the VPS, values never."""

from __future__ import annotations

from dataclasses import dataclass, field

from .app import Compose, Environment
from .codec import wire
from .terms import Runtime


def user_manager(user: str) -> str:
    """What variables come from that no file of a unit's gives: the origin of a setting."""
    return f"the user manager of {user}"


@wire
@dataclass(frozen=True)
class SettingsFile:
    """A file for systemd with what Compose reads in an env file, and to whom it belongs."""

    path: str
    env_file: str
    owner: str
    group: str
    project: Compose | None = None  # whose variables the env file may name
    mode: int = 0o600
    places: dict[str, str] = field(default_factory=dict)  # variable → the URL whose host and port it has here


@wire
@dataclass(frozen=True)
class SettingsFileFact:
    """How such a file is on the VPS. Its contents stay there."""

    kind: str  # as of a FileFact
    mode: int = 0
    owner: str = ""
    group: str = ""
    differs: str = ""  # what is different about it, with names and no values; empty when nothing is
    problem: str = ""  # why the env file can't be read
    denied: str = ""  # why the app's user can't read it


@wire
@dataclass(frozen=True)
class Difference:
    """A variable that some services get otherwise natively than in Docker; its values stay on the VPS."""

    name: str
    services: tuple[str, ...]
    native: str = ""  # the file that it comes from there; empty: native services do not get it
    docker: str = ""
    unfit: bool = False  # systemd passes on no such name, or no such value
    of_image: bool = False  # a container has it only by its image
    parts: tuple[str, ...] = ()  # of a URL: what differs besides host and port


@wire
@dataclass(frozen=True)
class RefusedLogin:
    """A login in the app's REDIS_URL that a runtime's Redis will refuse. No value is in it."""

    runtime: Runtime
    origin: str  # the file that the variable comes from
    reason: str  # what the server requires or lacks
    login: str  # what the variable has: a password, a user name, none
    services: tuple[str, ...] = ()


@wire
@dataclass(frozen=True)
class ContainerValue:
    """A variable that native services get with a name or path that only containers know; its value stays on the VPS."""

    name: str
    origin: str  # the file that it comes from
    what: str  # the name or path, as the Compose file has it
    services: tuple[str, ...] = ()
    certain: bool = True  # no: a word like a service's name, which may mean something else


@wire
@dataclass(frozen=True)
class Differences:
    """Every variable that differs between the runtimes, or why they can't be compared; and what natively can't work."""

    variables: tuple[Difference, ...] = ()
    refused_logins: tuple[RefusedLogin, ...] = ()
    container_values: tuple[ContainerValue, ...] = ()
    problem: str = ""


@wire
@dataclass(frozen=True)
class Comparison:
    """What is compared: native's environment with Docker's of the same services, and where Docker has it from."""

    native: Environment
    docker_env_file: str
    folders: tuple[str, ...] = ()  # where each of the services is started natively: Bun looks for env files there
