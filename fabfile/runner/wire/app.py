"""Facts about the app itself, as data: its environment, its streams, its provider; and the requests for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .codec import wire
from .compose import Compose
from .terms import Owner, Runtime


@wire
@dataclass(frozen=True)
class Environment:
    """Where a runtime's environment comes from: the app's env file, then the overrides, which win.

    In Docker it is what Compose makes of its own files for the `services`, of which the env file is only one.
    """

    runtime: Runtime
    env_file: str
    overrides_file: str
    planned: dict[str, str] | None = None  # what a plan will write into the overrides file; None: as it is
    compose: Compose | None = None
    services: tuple[str, ...] = ()


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
    """How a runtime's NATS is asked: its port, the environment whose NATS_URL logs in, its monitoring's port or 0."""

    port: int
    environment: Environment
    monitor: int = 0


@wire
@dataclass(frozen=True)
class StreamsRef:
    """Where the owner's JetStream is: what tells the owner, and how each runtime's NATS is asked."""

    project: str
    owner_file: str
    nats: dict[str, NatsRef]  # by runtime
    durables: tuple[str, ...] = ()  # the app's own; one that is made for fetching is given time to be fetched from
    apart: float = 0.0  # seconds between two looks that show whether pending messages grow; 0: one look will do


@wire
@dataclass(frozen=True)
class Consumer:
    """A durable consumer: how far it was delivered to and acknowledged, and whether somebody receives."""

    bound: bool  # somebody is subscribed, or fetches
    pending: int  # messages that were not delivered yet
    unacknowledged: int  # messages that were delivered and not acknowledged yet
    redelivered: int  # of these, the ones that were delivered more than once
    delivered: int  # stream sequence of the last delivery
    deliveries: int  # how many there were since it was made
    floor: int  # stream sequence up to which all is acknowledged
    created: str
    grew: int = 0  # by how many messages `pending` grew between two looks
    pull: bool = False  # it delivers to who fetches, not to who is subscribed


@wire
@dataclass(frozen=True)
class Stream:
    """A stream: its limits (nanoseconds, bytes) and how far it is written."""

    max_age: int
    max_bytes: int
    messages: int
    last: int  # sequence of the last message
    consumers: dict[str, Consumer] = field(default_factory=dict)
    in_memory: bool = False  # no restart keeps it


@wire
@dataclass(frozen=True)
class JetStream:
    """What the owner's JetStream says of its streams, or why it cannot be asked."""

    runtime: Owner = ""
    streams: dict[str, Stream] = field(default_factory=dict)
    problem: str = ""


@wire
@dataclass(frozen=True)
class AdapterRef:
    """How an adapter asks its provider: the variable with the address, and headers that name the key's variable."""

    name: str
    url_env: str = ""  # empty: it asks nobody
    headers: dict[str, str] = field(default_factory=dict)  # name → value with the variable, or alternatives, in braces
    path: str = ""  # what is asked for there; empty: what the address says
    url: str = ""  # the app's own address where the variable is not set
    unchecked: str = ""  # why it can't be asked by HTTP; empty: it can, or it asks nobody


@wire
@dataclass(frozen=True)
class ProviderRef:
    """Under which environment a provider shall be asked, and what the adapters need for it."""

    environment: Environment
    adapter_env: str
    adapters: tuple[AdapterRef, ...]


@wire
@dataclass(frozen=True)
class Provided:
    """How the provider answered the app's own key. Neither the key nor the address's path is in it."""

    adapter: str = ""  # empty: no variable chooses one
    adapter_origin: str = ""
    asked: str = ""  # host and port; empty: nobody was asked
    keys: dict[str, str] = field(default_factory=dict)  # variable that holds a key → the file that it comes from
    status: int = 0
    problem: str = ""  # why there was no answer
    unchecked: str = ""  # why nobody can be asked


@wire
@dataclass(frozen=True)
class UnitFile:
    """A rendered unit, to be verified without being installed."""

    name: str
    text: str
    user: str = ""  # whose manager would run it; empty: the system's
