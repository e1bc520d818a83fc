"""The output of `docker inspect` for a container, as far as it is read here. Docker may leave out any other key."""

from __future__ import annotations

from typing import TypedDict

from ..wire import shape


class InspectedHealth(TypedDict, total=False):
    """The verdict of its own health check."""

    Status: str


class InspectedState(TypedDict, total=False):
    """Its state and health."""

    Status: str
    Running: bool
    Pid: int
    StartedAt: str
    Health: InspectedHealth | None


class InspectedConfig(TypedDict, total=False):
    """The configuration it was created with."""

    Image: str
    Labels: dict[str, str] | None
    Env: list[str] | None
    Entrypoint: object
    Cmd: object
    WorkingDir: str | None
    ExposedPorts: dict[str, object] | None
    StopSignal: str | None
    StopTimeout: int | None


class InspectedPolicy(TypedDict, total=False):
    """When Docker starts it again."""

    Name: str


class InspectedBinding(TypedDict, total=False):
    """A port of the host, as text."""

    HostIp: str
    HostPort: str


class InspectedHost(TypedDict, total=False):
    """Its restart policy, and the ports bound on the host."""

    RestartPolicy: InspectedPolicy | None
    PortBindings: dict[str, list[InspectedBinding] | None] | None


class InspectedNetwork(TypedDict, total=False):
    """Its address and names on one network."""

    IPAddress: str
    Aliases: list[str] | None
    DNSNames: list[str] | None


class InspectedNetworks(TypedDict, total=False):
    """Its networks, and the ports that it publishes there."""

    Networks: dict[str, InspectedNetwork | None] | None
    Ports: dict[str, list[InspectedBinding] | None] | None


class InspectedMount(TypedDict, total=False):
    """A mounted folder of the host, or a volume."""

    Type: str
    Name: str
    Source: str
    Destination: str


class _Always(TypedDict):
    """What no container lacks."""

    Config: InspectedConfig
    State: InspectedState
    NetworkSettings: InspectedNetworks


class Inspected(_Always, total=False):
    """One container."""

    Id: str
    Name: str
    Image: str
    RestartCount: int
    HostConfig: InspectedHost
    Mounts: list[InspectedMount] | None


def inspected(text: str) -> list[Inspected]:
    """The containers in an output of `docker inspect`. Raises ValueError for what Docker does not print."""
    items = shape.parse(text or "[]")
    if not isinstance(items, list):
        raise ValueError("it is no list")
    for item in items:
        problem = shape.misfit(item, Inspected)
        if problem:
            raise ValueError(f"of a container {problem}")
    return items
