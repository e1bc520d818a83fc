"""Facts about a VPS, as data, and the request for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .app import (
    Compose,
    ComposeService,
    ComposeView,
    Environment,
    JetStream,
    NatsRef,
    Need,
    Program,
    Provided,
    ProviderRef,
    Settings,
    StreamsRef,
    UnitFile,
)
from .codec import wire
from .data import DataRef, Holding, Kept, Opener, Unkept
from .edge import EdgeBackup, EdgeFacts, EdgeRef
from .firewall import Firewall
from .release import Checkout, Releases, ReleasesRef
from .settings import Comparison, Differences, SettingsFile, SettingsFileFact
from .store import StoreState
from .terms import Owner, Runtime


@wire
@dataclass(frozen=True)
class Workload:
    """A service as a runtime runs it, with all that its health depends on."""

    name: str
    runtime: Runtime
    unit: str = ""
    user: str = ""  # whose user manager runs the unit; empty: the system's
    project: str = ""  # Compose project, for docker
    port: int = 0  # 0: it listens nowhere
    protocol: str = ""  # of its server: http, redis, nats, clickhouse
    path: str = ""  # of an HTTP probe
    durables: tuple[str, ...] = ()
    nats: NatsRef | None = None  # which has the durables
    environment: Environment | None = None  # the app's, which logs in to Redis


@wire
@dataclass(frozen=True)
class FactsRequest:
    """Which facts to gather. An empty field costs nothing."""

    units: tuple[str, ...] = ()
    user: str = ""
    user_units: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    programs: tuple[Program, ...] = ()
    project: str = ""  # the Compose project whose containers to read
    compose: Compose | None = None  # what its files say
    overlay: str = ""  # the overlay's text as a plan will write it; empty: there is none
    compose_view: bool = False  # how what Compose will run differs from the own file, and from the containers
    projects: bool = False
    owner_file: str = ""
    env_keys: tuple[str, ...] = ()
    environments: tuple[Environment, ...] = ()  # from which to read `env_keys`
    settings_file: SettingsFile | None = None
    comparison: Comparison | None = None
    streams: StreamsRef | None = None
    providers: tuple[ProviderRef, ...] = ()
    unit_files: tuple[UnitFile, ...] = ()
    exposed: tuple[UnitFile, ...] = ()  # whose exposure to analyze
    scripts: tuple[str, ...] = ()  # read as `user`
    firewall: bool = False
    edge: EdgeRef | None = None
    edge_backups: str = ""  # "all" of them as a list, or one by its identifier, with its files
    workloads: tuple[Workload, ...] = ()
    patience: float = 0.0  # seconds to wait until the workloads are healthy
    checkout: str = ""  # read as `user`
    releases: ReleasesRef | None = None
    redis_data: tuple[str, ...] = ()
    data: tuple[DataRef, ...] = ()  # servers whose contents to count
    opened: tuple[str, ...] = ()  # folders whose users to find: processes with a file open there
    kept: tuple[Kept, ...] = ()  # what a plan would keep aside
    disks: tuple[str, ...] = ()  # folders whose file systems' free space to read
    host: bool = False
    ops: bool = False
    needs: tuple[Need, ...] = ()
    memory: bool = False  # of the workloads
    sized: tuple[str, ...] = ()  # folders whose size to measure


@wire
@dataclass(frozen=True)
class Unit:
    """A unit's state (`systemctl show`)."""

    name: str
    load: str
    active: str
    sub: str
    enabled: str
    restarts: int
    pid: int
    result: str
    cgroup: str
    stale: bool  # the file changed since systemd read it

    @property
    def running(self) -> bool:
        return self.active == "active" and self.sub == "running"

    @property
    def up(self) -> bool:
        """Whether it runs, or has done what it had to do and stays so, as the unit that seals the data."""
        return self.active == "active" and self.sub in ("running", "exited")


@wire
@dataclass(frozen=True)
class FileFact:
    """A file, a folder, or the lack of one."""

    path: str
    kind: str  # file, directory, other, missing, unreadable
    mode: int = 0
    owner: str = ""
    group: str = ""
    sha256: str = ""
    text: str | None = None  # contents of a small text file


@wire
@dataclass(frozen=True)
class Tree:
    """The owners of a data directory ("uid:gid"); empty where there is no directory."""

    path: str
    owner: str = ""  # the directory itself
    others: tuple[str, ...] = ()  # other owners of something in it

    @property
    def owners(self) -> tuple[str, ...]:
        return (self.owner, *self.others) if self.owner else ()


ALIVE = ("running", "restarting", "paused")  # states of a container that runs, or comes back by itself


@wire
@dataclass(frozen=True)
class Container:
    """One container of the project, as Docker describes it."""

    service: str
    name: str
    id: str
    state: str
    health: str  # healthy, unhealthy, starting, or empty when it has no health check
    restarts: int
    pid: int
    started: str
    image: str
    address: str
    published: dict[str, str]  # "3000/tcp" → "127.0.0.1:3000"
    policy: str = ""  # restart policy: no, on-failure, unless-stopped, always
    files: tuple[str, ...] = ()  # the Compose files that it was made from
    mounts: dict[str, str] = field(default_factory=dict)  # folder in the container → folder of the VPS
    reached: tuple[str, ...] = ()  # the names and addresses by which other containers reach it
    siblings: tuple[Container, ...] = ()  # the service's other containers: scaled, or left by an interrupted `up`

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def alive(self) -> bool:
        """Whether it runs, or comes back by itself."""
        return self.state in ALIVE

    @property
    def of_service(self) -> tuple[Container, ...]:
        """All containers of its service, this one first."""
        return (self, *self.siblings)


@wire
@dataclass(frozen=True)
class Listener:
    """A listening TCP socket, the process that holds it, and the container for which Docker does, if it is one."""

    port: int
    address: str
    pid: int
    command: str
    cgroup: str
    container: str = ""


@wire
@dataclass(frozen=True)
class Health:
    """Whether a workload is healthy, and every reason it is not."""

    name: str
    runtime: Runtime
    ok: bool
    text: str
    state: str = ""  # of its unit ("active/running") or container ("running"); empty where there is none
    pid: int = 0  # of its main process; 0 where none runs
    restarts: int = 0  # how often systemd or Docker started it again
    answer: str = ""  # of its server
    answered: bool | None = None  # whether that is a good answer; None where it was not probed
    permanent: bool = False  # it will not become healthy by waiting

    @property
    def running(self) -> bool:
        """Whether its unit or container runs, healthy or not."""
        return self.state in ("active/running", "running")


@wire
@dataclass(frozen=True)
class HostInfo:
    """The VPS itself, and the user that the runner ran as."""

    name: str = ""
    python: str = ""  # version
    kernel: str = ""  # release
    uid: int = 0
    boot: str = ""  # identifier of this boot
    time: float = 0.0  # its clock (epoch, seconds)
    utc_offset: int = 0  # of its time zone, now (seconds east)


@wire
@dataclass(frozen=True)
class Facts:
    """The facts. Keys are names, paths or ports; what was not requested is absent."""

    host: HostInfo = field(default_factory=HostInfo)
    units: dict[str, Unit] = field(default_factory=dict)
    user_units: dict[str, Unit] = field(default_factory=dict)
    user_manager: str = ""  # empty when it can be reached, else why not
    files: dict[str, FileFact] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)  # name → "uid:gid", empty when it does not exist
    listeners: tuple[Listener, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)  # program → version, or empty when not found
    version_errors: dict[str, str] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    docker_error: str = ""  # why Docker does not answer: then nothing is known of containers
    docker_unsupported: str = ""  # why its Docker is not one that hand-overs are made for
    compose_error: str = ""  # why Compose rejects the app's own file, with the overlay that a plan will write
    compose: dict[str, ComposeService] = field(default_factory=dict)  # by service
    compose_view: ComposeView | None = None
    projects: dict[str, str] = field(default_factory=dict)
    owner: Owner = ""  # by the owner file; empty when there is none: `owner_of` decides then
    owner_error: str = ""
    firewall: Firewall = field(default_factory=Firewall)
    settings: dict[str, Settings] = field(default_factory=dict)  # by runtime
    settings_file: SettingsFileFact | None = None
    differences: Differences | None = None  # between the runtimes' settings, with what a plan will write
    jetstream: JetStream = field(default_factory=JetStream)
    providers: dict[str, Provided] = field(default_factory=dict)  # by runtime
    unit_errors: dict[str, str] = field(default_factory=dict)  # manager's user → complaints about its units
    exposures: dict[str, float] = field(default_factory=dict)  # unit → 0 (sealed off) to 10, by systemd-analyze
    exposure_error: str = ""  # why there are none
    script_errors: dict[str, str] = field(default_factory=dict)  # path → bash's complaints
    edge: EdgeFacts = field(default_factory=EdgeFacts)
    edge_backups: tuple[EdgeBackup, ...] = ()
    health: dict[str, Health] = field(default_factory=dict)  # "runtime/name"
    checkout: Checkout | None = None
    checkout_error: str = ""
    releases: Releases = field(default_factory=Releases)
    redis_formats: dict[str, int] = field(default_factory=dict)
    openers: tuple[Opener, ...] = ()
    mounts_below: tuple[str, ...] = ()  # what is mounted within those folders
    unkept: tuple[Unkept, ...] = ()  # what of it can't be
    data: dict[str, Holding] = field(default_factory=dict)  # "runtime/name" → what that server holds
    disks: dict[str, int] = field(default_factory=dict)  # folder → free bytes; of a file system once
    ops: StoreState = field(default_factory=StoreState)
    memory: dict[str, int] = field(default_factory=dict)  # "runtime/name" → bytes that it holds, without caches
    sizes: dict[str, int] = field(default_factory=dict)  # folder → bytes that it takes up on its disk
    lacking: dict[str, str] = field(default_factory=dict)  # path of a Need → why it can't be used

    @property
    def all_containers(self) -> list[Container]:
        """The project's containers, each service's siblings included."""
        return [one for container in self.containers.values() for one in container.of_service]

    def unit(self, name: str, user: str = "") -> Unit | None:
        """A unit's facts; None when they were not requested."""
        return (self.user_units if user else self.units).get(name)
