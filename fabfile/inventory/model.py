"""The inventory as the rest of the code sees it: frozen, typed, and with every path absolute.

Each class is a table of the file, each attribute a key of it; only `name` is the table's own name.
Times are seconds. Paths on the VPS are text, paths on the operator's machine are `Path`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from fabfile.errors import UsageError
from fabfile.inventory import fields
from fabfile.inventory.app import App, Releases, Runtimes, Service
from fabfile.inventory.base import Conflict, Table
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
    """A VPS and how to log in. An unknown or changed host key is always refused."""

    name: fields.Name
    address: fields.Address
    """Name or address of the VPS, or what your ssh configuration calls it; `public.address` has its address then."""
    port: fields.Port = 22
    """Port of its SSH server. Where none is said, your ssh configuration may say one."""
    user: fields.User
    """Login with a key and with sudo that needs no password."""
    key: fields.LocalPath | None = None
    """Private key on your machine, which is offered first; then those of your ssh configuration and SSH agent."""
    known_hosts: fields.LocalPath | None = None
    """File of known host keys on your machine. Without it the ones of your ssh configuration."""
    tags: fields.Tags = ()
    """Names by which `--tag` chooses several hosts."""


class Server(Table):
    """What the three servers share, natively and as a container (`image…`)."""

    name: fields.Name
    binary: fields.RemotePath
    """The program. Its package must be installed on the VPS."""
    version_argv: fields.SomeWords
    """Arguments that have it print its version."""
    unit: fields.Unit
    """Its native unit, which the tool writes."""
    distribution_unit: fields.Unit
    """The package's own unit, which is disabled: it would hold the port."""
    user: fields.User
    """Linux user of the native server, who owns the data then."""
    group: fields.User
    """Group of that user."""
    port: fields.Port
    """Port on 127.0.0.1 natively."""
    data: fields.RemotePath
    """Folder of its data, the same in both runtimes."""
    image: fields.Image
    """Its image in Docker."""
    image_user: fields.NumericUser
    """Numeric user and group of the container, who own the data then."""
    image_port: fields.Port
    """Port on the project's own network."""
    image_data: fields.RemotePath
    """Where the container sees the data."""
    image_version_argv: fields.SomeWords
    """Program and arguments in the container that print its version."""
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
    """NATS with JetStream."""

    scheme = "nats"
    max_payload: fields.Payload = 1 << 20
    """Bytes of the largest message that the native server takes. Preflight refuses where Docker's takes larger ones."""
    monitor_port: fields.Port | None = None
    """Port of its monitoring, asked only where NATS does not let the app's login ask. Without it there is no
    monitoring."""


class Redis(Server):
    """Redis."""

    scheme = "redis"
    config: fields.RemotePath
    """Its configuration, which the tool writes."""
    settings: fields.RedisSettings = Field(default_factory=dict)
    """What the app depends on besides, each as text: `databases`, `maxmemory`, `maxmemory-policy`,
    `notify-keyspace-events`. Preflight names those that Docker's Redis has and this table lacks."""


class ClickHouse(Server):
    """ClickHouse."""

    scheme = "http"
    config: fields.RemotePath
    """The package's configuration, which the server starts with."""
    drop_in: fields.RemotePath
    """The tool's part, merged into it. Where it is the same file as `config`, it is complete by itself."""


class Infra(Table):
    """The three servers that hold the durable data."""

    nats: Nats
    redis: Redis
    clickhouse: ClickHouse


class Edge(Table):
    """Nginx Proxy Manager, which holds the public ports 80 and 443."""

    root: fields.RemotePath
    """Its folder on the VPS."""
    database: fields.RemotePath
    """Its SQLite database."""
    container: fields.DockerName
    """Its container."""
    network: fields.DockerName
    """Docker network between the edge and the app."""
    https_port: fields.Port = 443
    """Its HTTPS port on the VPS."""
    admin_port: fields.Port = 81
    """Port of its admin page on the VPS, which nobody outside may reach."""
    api_port: fields.Port = 81
    """Port of its page and API inside its container."""
    app_domain: fields.Domain
    """Hostname of the page."""
    api_domain: fields.Domain
    """The API's own hostname."""
    api_prefixes: Annotated[tuple[fields.Prefix, ...], BeforeValidator(fields.listed)]
    """Paths on the app's hostname that lead to the API."""
    served_by_header: fields.Header | None = None
    """Header in which the app's answers name their runtime, if they do."""
    hold: bool = True
    """Whether requests wait during a hand-over instead of failing."""
    hold_limit: fields.HoldLimit = 45.0
    """Seconds for which they may wait. Then the plan reverts."""


class Firewall(Table):
    """The rules that let the edge's network reach the native app."""

    comment: fields.Comment
    """Marks the tool's rules in UFW; the service's name follows it."""

    def comment_for(self, service: Service) -> str:
        """The comment that marks our rule for this service's port."""
        return f"{self.comment} {service.name}"


class Backup(Table):
    """Your own backup. The servers still run then: the hook must copy their data safely."""

    hook: fields.RemotePath | None = None
    """Executable on the VPS that runs as root before anything stops. If it fails, nothing is handed over."""
    argv: fields.Words = ()
    """Its arguments. It finds ISLANDFLOW_DATA_ROOT, ISLANDFLOW_FROM and ISLANDFLOW_TO in its environment."""
    timeout: fields.Seconds = 600.0
    """Seconds after which it has failed."""
    before: Literal["every hand-over", "the first hand-over"] = "every hand-over"
    """Which hand-overs it runs before. The first is the one without an owner file."""


class Notify(Table):
    """Your webhook, which gets a plan's begin, its failures and its end as JSON (`docs/events.md`), by POST."""

    url: fields.ApiUrl | None = None
    """Its address, where that is no secret."""
    url_env: fields.EnvName | None = None
    """Variable of your machine's environment that holds its address, where that is a secret."""
    token_env: fields.EnvName | None = None
    """Variable of your machine's environment that holds a bearer token for it."""
    timeout: fields.Seconds = 5.0
    """Seconds for which an answer is waited for. No plan waits for it, and none fails by it."""

    @classmethod
    def conflicts(cls, written: dict[str, Any]) -> Iterator[Conflict]:
        """The address stands in one place."""
        if ("url" in written) == ("url_env" in written):
            yield Conflict(("url",), "give either this or url_env")


class Timeouts(Table):
    """Deadlines, in seconds."""

    connect: fields.Seconds
    """Until SSH has answered."""
    step: fields.Seconds
    """For one step of a plan, unless it has a limit of its own."""
    drain: fields.Seconds
    """How long a request may take. A connection that stands longer counts as a websocket."""
    health: fields.Seconds
    """Until a started service is healthy."""
    edge: fields.Seconds
    """Until the edge answers from the new runtime. Answers that are merely late, while users are served, have as long
    again."""
    confirm: fields.Seconds
    """Until somebody confirms the result. Then the plan reverts."""
    hook: fields.Seconds = 60.0
    """Until a hook of yours on your machine has ended. Then it is killed, and has failed."""


class Site(Table):
    """The whole inventory of one installation."""

    min_version: fields.Version | None = None
    """Oldest version of the tool that may read the file. An older one refuses it instead of misreading it."""
    default_host: fields.Name
    """Host that a task works on without `--host`."""
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
    releases: Releases
    notify: Notify | None = None
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
    def seal_unit(self) -> str:
        """The unit that makes the data read-only to all but the native servers."""
        return f"{self.app.name}-seal.service"

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
