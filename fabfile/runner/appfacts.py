"""Facts about the app itself, as data: its environment and its streams; and the requests for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict

from .codec import wire


@wire
@dataclass(frozen=True)
class Environment:
    """Where a runtime's environment comes from: the app's env file, then the overrides, which win."""

    runtime: str
    env_file: str
    overrides_file: str


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

    values: Dict[str, Setting] = field(default_factory=dict)
    problem: str = ""


@wire
@dataclass(frozen=True)
class StreamsRef:
    """Where the owner's JetStream is: the port of its monitoring in both runtimes, and what tells the owner."""

    monitor: int
    project: str
    owner_file: str


@wire
@dataclass(frozen=True)
class Consumer:
    """A durable consumer: how far it was delivered to and acknowledged, and whether somebody is subscribed."""

    bound: bool
    pending: int  # messages that were not delivered yet
    unacknowledged: int  # messages that were delivered and not acknowledged yet
    redelivered: int  # of these, the ones that were delivered more than once
    delivered: int  # stream sequence of the last delivery
    deliveries: int  # how many there were since it was made
    floor: int  # stream sequence up to which all is acknowledged
    created: str
    grew: int = 0  # by how many messages `pending` grew between two looks


@wire
@dataclass(frozen=True)
class Stream:
    """A stream: its limits (nanoseconds, bytes) and how far it is written."""

    max_age: int
    max_bytes: int
    messages: int
    last: int  # sequence of the last message
    consumers: Dict[str, Consumer] = field(default_factory=dict)


@wire
@dataclass(frozen=True)
class JetStream:
    """What the owner's JetStream says of its streams, or why it cannot be asked."""

    runtime: str = ""
    streams: Dict[str, Stream] = field(default_factory=dict)
    problem: str = ""
