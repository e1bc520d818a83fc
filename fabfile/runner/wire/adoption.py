"""What is on a VPS, as data. Values of variables are not in it, except the few that the request names."""

from __future__ import annotations

from dataclasses import dataclass, field

from .app import JetStream
from .codec import wire
from .facts import Unit


@wire
@dataclass(frozen=True)
class AdoptionRequest:
    """Names to look for on the VPS: those that the operator's side knows."""

    shown: tuple[str, ...] = ()  # variables whose values may leave the VPS
    servers: tuple[str, ...] = ()  # names of the servers that hold data, as in images and programs: redis
    units: tuple[str, ...] = ()  # system units that may be there
    owner_file: str = ""
    names: tuple[str, ...] = ()  # what the app's units are called, each a unit of the app's user
    paths: tuple[str, ...] = ()  # files that the checkout may have


@wire
@dataclass(frozen=True)
class Mount:
    """A directory or file of the host, or a volume, in a container."""

    source: str
    target: str
    kind: str = "bind"  # or volume
    owner: str = ""  # "uid:gid" of the source


@wire
@dataclass(frozen=True)
class StartFound:
    """How a service starts, as arguments of `bun` in a directory of the checkout; or why that is unknown."""

    directory: str = "."
    argv: tuple[str, ...] = ()
    problem: str = ""
    scripts: tuple[str, ...] = ()  # those that the directory's package.json has


@wire
@dataclass(frozen=True)
class ContainerFound:
    """A container, or a service of a Compose file that has none."""

    service: str
    name: str = ""  # empty: there is no container
    image: str = ""
    state: str = ""
    count: int = 1  # containers of the service
    networks: dict[str, str] = field(default_factory=dict)  # name → address, which a stopped one has not
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)  # network → names that it has there
    mounts: tuple[Mount, ...] = ()
    published: dict[str, str] = field(default_factory=dict)  # "3000/tcp" → "127.0.0.1:3000"
    exposed: tuple[int, ...] = ()
    listens: tuple[int, ...] = ()  # ports inside; none while it is stopped
    answers: dict[str, str] = field(default_factory=dict)  # path → status and type of GET, "200 text/html"
    variables: tuple[str, ...] = ()  # names
    shown: dict[str, str] = field(default_factory=dict)  # values of those that may leave the VPS
    by_profile: bool = False  # Compose starts it only with its profile
    start: StartFound | None = None
    stop_signal: str = ""
    stop_timeout: int = 0


@wire
@dataclass(frozen=True)
class EnvFileFound:
    """An env file: the names in it, and the values that may leave the VPS."""

    path: str
    names: tuple[str, ...] = ()
    shown: dict[str, str] = field(default_factory=dict)
    problem: str = ""  # why it can't be read; "missing" where there is none


@wire
@dataclass(frozen=True)
class Work:
    """The checkout that a Compose project runs from, and its owner."""

    root: str = ""
    remote: str = ""  # without a password
    branch: str = ""
    head: str = ""
    user: str = ""
    group: str = ""
    home: str = ""
    lingering: bool = False
    bun: str = ""
    bun_version: str = ""
    units: tuple[Unit, ...] = ()  # of its user, native ones
    paths: tuple[str, ...] = ()  # those of the requested ones that exist
    problem: str = ""  # why it is no git checkout


@wire
@dataclass(frozen=True)
class Project:
    """A Compose project: where it runs from, its services, its env files."""

    name: str
    directory: str = ""
    files: tuple[str, ...] = ()
    problem: str = ""  # Compose's complaint about the files
    containers: dict[str, ContainerFound] = field(default_factory=dict)  # by service
    work: Work = field(default_factory=Work)
    env_files: tuple[EnvFileFound, ...] = ()  # Docker's, then others that the checkout has
    differing: tuple[str, ...] = ()  # variables with another value in the checkout's own env file than in Docker
    in_file: dict[str, str] = field(default_factory=dict)  # of these, what the Compose file itself gives all services
    copies: dict[str, tuple[str, ...]] = field(default_factory=dict)  # folder → files that the checkout's root has too
    jetstream: JetStream = field(default_factory=JetStream)


@wire
@dataclass(frozen=True)
class ProxyFound:
    """A proxy host of NPM's: its names and its upstream; of its advanced_config only the routes."""

    id: int
    names: tuple[str, ...]
    enabled: bool
    host: str
    port: int
    prefixes: tuple[str, ...] = ()  # with another upstream
    route_host: str = ""
    route_port: int = 0
    problem: str = ""


@wire
@dataclass(frozen=True)
class NpmFound:
    """A container that is Nginx Proxy Manager, or looks like it."""

    container: ContainerFound
    why: str  # what it was recognised by
    data: str = ""  # what stands at its /data, on the host
    database: bool = False  # whether that holds NPM's SQLite file
    other_database: str = ""  # the variable that names another one
    hosts: tuple[ProxyFound, ...] = ()
    problem: str = ""


@wire
@dataclass(frozen=True)
class Adoption:
    """Everything that an inventory is written from."""

    host: str = ""
    docker_error: str = ""
    projects: dict[str, Project] = field(default_factory=dict)
    edges: tuple[NpmFound, ...] = ()
    gateways: dict[str, str] = field(default_factory=dict)  # Docker network → IPv4 gateway
    programs: dict[str, str] = field(default_factory=dict)  # server → its program on the host
    accounts: dict[str, str] = field(default_factory=dict)  # server → "user:group" of the package; empty: none
    units: dict[str, Unit] = field(default_factory=dict)
    listening: tuple[int, ...] = ()  # ports of the host
    owner: str = ""  # what the owner file says; empty: there is none
    owner_problem: str = ""
    firewall: str = ""  # in words
