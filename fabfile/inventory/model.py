"""The inventory as the rest of the code sees it: frozen, typed, and with every path absolute.

Each class is a table of the file, each attribute a key of it; only `name` is the table's own name.
Times are seconds. Paths on the VPS are text, paths on the operator's machine are `Path`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from fabfile.errors import UsageError
from fabfile.inventory import fields
from fabfile.inventory.app import App, Service
from fabfile.inventory.base import Table
from fabfile.inventory.dns import Dns
from fabfile.inventory.public import Public
from fabfile.inventory.sources import Provider, Stream
from fabfile.terms import SCOPES

_KINDS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "full": ("web", "api", "worker"),
    "web": ("web",),
    "api": ("api",),
    "services": ("api", "worker"),
    "workers": ("worker",),
}


class Host(Table):
    """A VPS and how to log in. Without `key` the SSH agent is asked, without `known_hosts` the user's own."""

    name: fields.Name
    address: fields.Address
    port: fields.Port = 22
    user: fields.User
    key: fields.LocalPath | None = None
    known_hosts: fields.LocalPath | None = None


class Native(Table):
    """systemd. `bind` and `upstream` may be "bridge": the gateway of the edge's network."""

    bind: fields.Bind
    upstream: fields.Upstream
    overrides_file: fields.RemotePath
    overrides: fields.Environment = Field(default_factory=dict)


class Docker(Table):
    """Docker Compose. The app's own `file` is never written; `overrides` go into `overlay_file`, laid over it."""

    project: fields.DockerName
    directory: fields.RemotePath
    file: fields.RemotePath
    env_file: fields.RemotePath
    overlay_file: fields.RemotePath = "/etc/islandflow/docker-compose.overlay.yml"
    web_host: fields.Name
    api_host: fields.Name
    overrides: fields.Environment = Field(default_factory=dict)
    foreign_projects: Annotated[tuple[fields.DockerName, ...], BeforeValidator(fields.listed)] = ()
    snapshot: fields.RemotePath | None = None
    snapshot_files: Annotated[tuple[fields.FileName, ...], BeforeValidator(fields.listed)] = ()


class Runtimes(Table):
    """Who can run the app."""

    native: Native
    docker: Docker


class Server(Table):
    """What the three infrastructure servers share, natively and as a container (`image…`)."""

    name: fields.Name
    binary: fields.RemotePath
    version_argv: fields.SomeWords
    unit: fields.Unit
    distribution_unit: fields.Unit
    user: fields.User
    group: fields.User
    port: fields.Port
    data: fields.RemotePath
    image: fields.Image
    image_user: fields.NumericUser
    image_port: fields.Port
    image_data: fields.RemotePath
    image_version_argv: fields.SomeWords
    scheme: ClassVar[str]

    @property
    def url(self) -> str:
        """Where the native app finds this server."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def image_url(self) -> str:
        """Where the app in Docker finds this server: by its name on the project's own network."""
        return f"{self.scheme}://{self.name}:{self.image_port}"


class Nats(Server):
    """NATS with JetStream. Without `monitor_port` it has no monitoring, which is for who may not ask NATS itself."""

    scheme = "nats"
    monitor_port: fields.Port | None = None


class Redis(Server):
    """Redis, started with the `config` that we write."""

    scheme = "redis"
    config: fields.RemotePath


class ClickHouse(Server):
    """ClickHouse, started with `config`; we write `drop_in`; if both are one file, ours is complete."""

    scheme = "http"
    config: fields.RemotePath
    drop_in: fields.RemotePath


class Infra(Table):
    """The three servers that hold the durable data."""

    nats: Nats
    redis: Redis
    clickhouse: ClickHouse


class Edge(Table):
    """Nginx Proxy Manager: the public :80 and :443. `https_port` and `admin_port` are those it holds on the VPS.

    `api_port` is where its own page and API listen in its container. With `hold` requests wait during a hand-over,
    for at most `hold_limit` seconds. `served_by_header` is the header in which the app's answers name their runtime.
    """

    root: fields.RemotePath
    database: fields.RemotePath
    container: fields.DockerName
    network: fields.DockerName
    https_port: fields.Port = 443
    admin_port: fields.Port = 81
    api_port: fields.Port = 81
    app_domain: fields.Domain
    api_domain: fields.Domain
    api_prefixes: Annotated[tuple[fields.Prefix, ...], BeforeValidator(fields.listed)]
    served_by_header: fields.Header | None = None
    hold: bool = True
    hold_limit: fields.HoldLimit = 45.0


class Firewall(Table):
    """The rules that let the edge's network reach the native app."""

    comment: fields.Comment

    def comment_for(self, service: Service) -> str:
        """The comment that marks our rule for this service's port."""
        return f"{self.comment} {service.name}"


class Backup(Table):
    """The operator's own executable on the VPS that runs, as root, before the data changes hands.

    `before` says which hand-overs: all that change the owner, or only the first, as long as there is no owner file.
    """

    hook: fields.RemotePath | None = None
    argv: fields.Words = ()
    timeout: fields.Seconds = 600.0
    before: Literal["every hand-over", "the first hand-over"] = "every hand-over"


class Timeouts(Table):
    """Deadlines, in seconds."""

    connect: fields.Seconds
    step: fields.Seconds
    drain: fields.Seconds
    health: fields.Seconds
    edge: fields.Seconds
    confirm: fields.Seconds


class Site(Table):
    """The whole inventory. A tool older than `min_version` does not read it (load.py)."""

    min_version: fields.Version | None = None
    default_host: fields.Name
    app: App
    hosts: Mapping[str, Host]
    runtimes: Runtimes
    services: Mapping[str, Service]
    infra: Infra
    streams: Mapping[str, Stream]
    provider: Provider
    edge: Edge
    firewall: Firewall
    public: Public
    dns: Dns | None = None
    backup: Backup = Backup()
    timeouts: Timeouts

    def host(self, name: str | None = None) -> Host:
        """The host of that name, or the default one; UsageError lists the choices."""
        wanted = self.default_host if name is None else name
        if wanted not in self.hosts:
            raise UsageError.unknown("host", wanted, self.hosts)
        return self.hosts[wanted]

    def scope(self, name: str) -> tuple[Service, ...]:
        """The services of a scope, in the inventory's order; UsageError lists the choices."""
        if name not in _KINDS_OF:
            raise UsageError.unknown("scope", name, SCOPES)
        return tuple(service for service in self.services.values() if service.kind in _KINDS_OF[name])

    @property
    def origin(self) -> str:
        """The VPS as the public would reach it if there were no DNS."""
        return self.public.address or self.host().address

    @property
    def closed_ports(self) -> Mapping[str, int]:
        """Ports that must not answer from outside, as numbered there: the list of `public`, else the private ones."""
        return self.private_ports if self.public.closed_ports is None else self.public.closed_ports

    @property
    def private_ports(self) -> Mapping[str, int]:
        """Ports of the VPS that nobody outside needs, by what listens there."""
        served = {service.name: service.port for service in (self.web, self.api) if service.port}
        servers = {server.name: server.port for server in self.servers}
        port = self.infra.nats.monitor_port
        monitor = {f"{self.infra.nats.name} monitor": port} if port else {}
        return {**served, "NPM's admin page": self.edge.admin_port, **servers, **monitor}

    @property
    def servers(self) -> tuple[Server, ...]:
        """The infrastructure, in the order in which it starts."""
        return (self.infra.nats, self.infra.redis, self.infra.clickhouse)

    @property
    def web(self) -> Service:
        """The one service of kind web."""
        return self.scope("web")[0]

    @property
    def api(self) -> Service:
        """The one service of kind api."""
        return self.scope("api")[0]
