"""Facts about the app itself, as data: its Compose project, environment, streams, provider; and the requests."""

from __future__ import annotations

from dataclasses import dataclass, field

from .codec import wire
from .terms import Owner, Runtime


@wire
@dataclass(frozen=True)
class Compose:
    """A Compose project: its name, the app's own file, the folder relative paths in it start from, and our overlay."""

    project: str
    file: str
    directory: str
    overlay: str = ""  # merged over the own file once it is written; empty: the own file runs as it is


@wire
@dataclass(frozen=True)
class ComposeService:
    """A service as Compose reads it, also one behind a profile, and what it lacks on the VPS."""

    name: str
    image: str  # Compose's own name for it, where the file only says how it is built
    there: bool  # the image is on the VPS
    built: bool  # the file says how to build it
    lacking: tuple[str, ...] = ()  # contexts and Dockerfile of its build that are not on the VPS
    mounts: dict[str, str] = field(default_factory=dict)  # folder in the container → folder of the VPS, or volume
    restart: str = ""
    limits: dict[str, str] = field(default_factory=dict)  # of Redis: maxmemory and maxmemory-policy by its command line


@wire
@dataclass(frozen=True)
class ComposeDifference:
    """A setting that Compose will run otherwise than the app's own file has it; its values stay on the VPS."""

    path: tuple[str, ...]  # services, web, environment, LOG_LEVEL
    change: str  # added, changed or removed by the overlay; lacking: a plan would write it
    planned: bool  # it is so by the overlay that a plan would write


@wire
@dataclass(frozen=True)
class ComposeView:
    """How the app's own file, the next call of Compose, and the present containers differ."""

    differences: tuple[ComposeDifference, ...] = ()
    renewed: tuple[str, ...] = ()  # containers that Compose would recreate
    problem: str = ""  # why the files cannot be compared
    untold: str = ""  # why nothing is known of the containers


@wire
@dataclass(frozen=True)
class Environment:
    """Where a runtime's environment comes from: the app's env file, then the overrides, which win.

    In Docker it is the environment that Compose builds for the `services`, from the env file among others. Natively it
    is what systemd gives the services' `units`, which read `settings_file` in place of the env file.
    """

    runtime: Runtime
    env_file: str
    overrides_file: str
    planned: dict[str, str] | None = None  # what a plan will write into the overrides file; None: as it is
    compose: Compose | None = None
    services: tuple[str, ...] = ()
    settings_file: str = ""
    units: tuple[str, ...] = ()  # one for each of the services; without any it is what the files say
    user: str = ""  # whose manager runs the units
    project: Compose | None = None  # natively: whose variables the env file may name
    places: dict[str, str] = field(default_factory=dict)  # natively: variable → the URL whose host and port it has


@wire
@dataclass(frozen=True)
class Setting:
    """A variable's value, and the file that it comes from."""

    value: str
    origin: str


@wire
@dataclass(frozen=True)
class Settings:
    """The named variables of a runtime's environment, or why they cannot be read."""

    values: dict[str, Setting] = field(default_factory=dict)
    problem: str = ""


@wire
@dataclass(frozen=True)
class NatsRef:
    """How to reach a runtime's NATS: its port, the environment whose NATS_URL logs in, its monitoring's port or 0."""

    port: int
    environment: Environment
    monitor: int = 0


@wire
@dataclass(frozen=True)
class StreamsRef:
    """Where the owner's JetStream is: project and file that determine the owner, and each runtime's NATS."""

    project: str
    owner_file: str
    nats: dict[str, NatsRef]  # by runtime
    durables: tuple[str, ...] = ()  # the app's own; a pull consumer among them has time to be fetched from
    apart: float = 0.0  # seconds between two readings that show whether pending messages grow; 0: read once


@wire
@dataclass(frozen=True)
class Consumer:
    """A durable consumer: its positions, its pending messages, and whether it is bound."""

    bound: bool  # somebody is subscribed, or fetches
    pending: int  # messages that were not delivered yet
    unacknowledged: int  # messages that were delivered and not acknowledged yet
    redelivered: int  # of these, the ones that were delivered more than once
    delivered: int  # stream sequence of the last delivery
    deliveries: int  # how many there were since it was made
    floor: int  # stream sequence up to which all is acknowledged
    created: str
    grew: int = 0  # by how many messages `pending` grew between two readings
    pull: bool = False  # clients fetch from it; else it delivers to a subscription
    ack_wait: float = 0.0  # seconds in which a client must acknowledge a message
    acknowledged: str = ""  # when a client did so last
    lasting: bool = True  # neither a restart nor a time without clients makes it go


@wire
@dataclass(frozen=True)
class Stream:
    """A stream: its limits (nanoseconds, bytes), its messages and its consumers."""

    max_age: int
    max_bytes: int
    messages: int
    last: int  # sequence of the last message
    consumers: dict[str, Consumer] = field(default_factory=dict)
    in_memory: bool = False  # no restart keeps it
    retention: str = "limits"  # by which messages go; by interest and workqueue those go that nobody needs any more
    expiring: bool = False  # messages may have lives of their own


@wire
@dataclass(frozen=True)
class JetStream:
    """The streams of the owner's JetStream, or why they cannot be read."""

    runtime: Owner = ""
    streams: dict[str, Stream] = field(default_factory=dict)
    problem: str = ""


@wire
@dataclass(frozen=True)
class AdapterRef:
    """The request of an adapter to its provider: the variable with the address, and headers with the key's variable."""

    name: str
    url_env: str = ""  # empty: it has no provider
    headers: dict[str, str] = field(default_factory=dict)  # name → value with the variable, or alternatives, in braces
    path: str = ""  # of the request; empty: the address's own
    url: str = ""  # the app's own address where the variable is not set
    unchecked: str = ""  # why it can't be checked by HTTP; empty: it can, or it has no provider


@wire
@dataclass(frozen=True)
class ProviderRef:
    """The environment to check a provider with, and the adapters that it may choose."""

    environment: Environment
    adapter_env: str
    adapters: tuple[AdapterRef, ...]


@wire
@dataclass(frozen=True)
class Provided:
    """The provider's answer to the app's own key. Neither the key nor the address's path is in it."""

    adapter: str = ""  # empty: no variable chooses one
    adapter_origin: str = ""
    asked: str = ""  # host and port of the request; empty: there was none
    keys: dict[str, str] = field(default_factory=dict)  # variable that holds a key → the file that it comes from
    status: int = 0
    problem: str = ""  # why there was no answer
    unchecked: str = ""  # why it can't be checked


@wire
@dataclass(frozen=True)
class UnitFile:
    """A rendered unit, to be verified without being installed."""

    name: str
    text: str
    user: str = ""  # whose manager would run it; empty: the system's


@wire
@dataclass(frozen=True)
class Need:
    """What a unit cannot start without: a file to read, a program to run, a directory to enter."""

    path: str
    how: str  # read, run, enter
    user: str = ""  # who needs it; empty: root


@wire
@dataclass(frozen=True)
class Program:
    """A server's program on one side: the command that prints its version."""

    name: str
    argv: tuple[str, ...]  # native: absolute path or name on PATH; docker: the entry point and arguments
    image: str = ""  # empty: native
