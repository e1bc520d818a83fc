"""The edge, as data: the request for its facts, the state of Nginx Proxy Manager and nginx, and the backups."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from .codec import wire

NO_ANSWER = 444  # as a status, as in nginx: the connection is closed without an answer

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_NOWHERE = ("http", "127.0.0.1", 9)  # the upstream that a script of the app's gives a host that it closes


def has_name(names: Iterable[str], domain: str) -> bool:
    """Whether a hostname is among these, upper and lower case being the same, as for DNS and nginx."""
    return domain.lower() in (name.lower() for name in names)


@wire
@dataclass(frozen=True)
class EdgeRef:
    """Where the edge's files are and which hostnames matter."""

    root: str
    database: str
    container: str
    network: str
    domains: tuple[str, ...]
    api_port: int = 81  # of NPM's own HTTP API, in its container


@wire
@dataclass(frozen=True)
class EdgeLogin:
    """A login to NPM's API: identity and secret, or the two-factor code for its challenge. Never stored."""

    edge: EdgeRef
    identity: str = ""
    secret: str = field(default="", repr=False)
    challenge: str = field(default="", repr=False)
    code: str = field(default="", repr=False)


@wire
@dataclass(frozen=True)
class Upstream:
    """Where the edge sends requests. Raises ValueError for what nginx would not accept as an upstream."""

    host: str
    port: int
    scheme: str = "http"

    def __post_init__(self) -> None:
        if not _HOST.match(self.host):
            raise ValueError(f"{self.host!r} is no host name or IPv4 address")
        if not 0 < self.port < 65536:
            raise ValueError(f"{self.port} is no port")
        if self.scheme not in ("http", "https"):
            raise ValueError(f"{self.scheme!r} is neither http nor https")

    def __str__(self) -> str:
        place = f"{self.host}:{self.port}"
        return place if self.scheme == "http" else f"{self.scheme}://{place}"


class Values(NamedTuple):
    """The columns of a row that this tool may change."""

    scheme: str
    host: str
    port: int
    advanced: str
    enabled: bool
    websocket: bool | None = None  # None: as it is

    @property
    def place(self) -> str:
        """Where it sends requests, for people."""
        return f"{self.scheme}://{self.host}:{self.port}"


@wire
@dataclass(frozen=True)
class ProxyHost:
    """One live proxy host as the database has it."""

    id: int
    names: tuple[str, ...]
    enabled: bool
    scheme: str
    host: str
    port: int
    advanced: str
    modified_on: str
    meta: str  # NPM's own note on whether nginx took the host's file, as JSON
    custom: bool = False  # it has custom locations, which NPM writes behind advanced_config
    websocket: bool | None = None  # whether it lets websockets through; None: an older backup does not say
    certificate: int = 0  # its number in NPM; 0: the host is served without TLS

    @property
    def values(self) -> Values:
        return Values(self.scheme, self.host, self.port, self.advanced, self.enabled, self.websocket)

    @property
    def points_nowhere(self) -> bool:
        """Whether it is closed as the app's own script closes one: disabled, its upstream a port of nobody's."""
        return not self.enabled and (self.scheme, self.host, self.port) == _NOWHERE

    @property
    def place(self) -> str:
        """Where it sends requests, for people."""
        return self.values.place

    @property
    def upstream(self) -> Upstream | None:
        """Where it sends requests; None where that is no valid upstream."""
        try:
            return Upstream(self.host, self.port, self.scheme)
        except ValueError:
            return None

    def leads_to(self, upstream: Upstream) -> bool:
        """Whether the row itself, its advanced_config apart, sends requests to `upstream`."""
        return (self.scheme, self.host, self.port) == (upstream.scheme, upstream.host, upstream.port)


@wire
@dataclass(frozen=True)
class SavedHost:
    """A host as it was: its row, and its file, if it had one, under the same name in the backup's folder."""

    domain: str
    row: ProxyHost
    path: str
    modified: int  # of the file, in ns: a file put back is not newer than what nginx has read
    written: str  # SHA-256 of the file that the change writes in its place; empty when that is unknown
    enabled: bool  # after the change
    websocket: bool | None = None  # after the change


@wire
@dataclass(frozen=True)
class EdgeBackup:
    """A backup as it is listed; with `texts` (by domain) only where this one was requested."""

    id: str
    plan: str
    taken: float  # epoch, seconds
    hosts: dict[str, SavedHost]
    texts: dict[str, str]


@wire
@dataclass(frozen=True)
class EdgeContainer:
    """NPM's container as Docker has it: where it runs and where it can be reached."""

    name: str
    running: bool
    pid: int  # of its first process, in the host's numbering; 0 when it does not run
    addresses: dict[str, str]  # network → IPv4 address
    problem: str = ""  # why it does not run, or why that is unknown
    known: bool = True  # whether Docker answered at all
    database: str = ""  # another one than SQLite that NPM keeps its hosts in, or SQLite's file if it is not the default


@wire
@dataclass(frozen=True)
class EdgeNetwork:
    """The Docker network of the edge (IPv4); both fields are empty when they cannot be read."""

    gateway: str = ""
    subnet: str = ""


@wire
@dataclass(frozen=True)
class Maintenance:
    """What the edge says itself instead of sending requests on: since when, until when, and to whoever asks."""

    since: float  # epoch, seconds
    until: float = 0.0  # epoch, seconds; 0: nobody has said
    message: str = ""


@wire
@dataclass(frozen=True)
class HostFact:
    """One of our hostnames at the edge. With a `problem` the other fields may be empty.

    A host that is disabled, or whose file NPM has deleted, has no `text`, and neither has a disabled one whose file has
    no server block, as NPM leaves them when it writes many files at once; the file that NPM would write is then `kept`,
    or `unkept` says why that is unknown.
    """

    domain: str
    problem: str = ""  # why a switch would not be safe
    row: ProxyHost | None = None
    path: str = ""  # its generated file
    text: str = ""
    tls: bool = False
    upstream: Upstream | None = None  # the file's own, where `location /` goes
    routes: tuple[str, ...] = ()  # prefixes that the file sends elsewhere first
    route_upstream: Upstream | None = None
    drift: tuple[str, ...] = ()  # how file and database differ
    stale: bool = False  # the file is newer than what the running nginx has read
    backup_text: str = ""
    backup_problem: str = ""
    access: tuple[str, ...] = ()  # the statements by which nginx itself may refuse requests for it
    refusals: tuple[int, ...] = ()  # the statuses with which it does so; NO_ANSWER where it closes the connection
    includes: dict[str, dict[str, str]] = field(default_factory=dict)  # an `include` as written → path → text
    maintenance: str = ""  # the statements in its file, left out of `text`, by which nginx answers 503 itself

    @property
    def closed(self) -> bool:
        """Whether it is disabled: the public has no such host."""
        return self.row is not None and not self.row.enabled


@wire
@dataclass(frozen=True)
class Forward:
    """A place to which the edge sends what comes to others than our hostnames, or a `problem` that hides one."""

    source: str  # who leads there: a proxy host, a stream, or a server block of the operator's
    statement: str  # by what: a row, or a location with its file and line
    hosts: tuple[str, ...] = ()  # in lower case
    problem: str = ""


@wire
@dataclass(frozen=True)
class EdgeFacts:
    """The state of the edge before a switch. What cannot be read is empty, and `problem` says why."""

    container: EdgeContainer = field(default_factory=lambda: EdgeContainer("", False, 0, {}, known=False))
    network: EdgeNetwork = EdgeNetwork()
    config_problem: str = ""  # what `nginx -t` complains of; empty when it passes
    problem: str = ""
    hosts: dict[str, HostFact] = field(default_factory=dict)  # by domain
    forwards: tuple[Forward, ...] = ()
    maintenance: Maintenance | None = None  # what was last switched on by us; a host's file may have lost it
