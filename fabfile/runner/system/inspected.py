"""What `docker inspect` says of a container, as far as it is read here. Docker may leave out any key."""

from __future__ import annotations

from typing import TypedDict


class InspectedState(TypedDict, total=False):
    """Whether it runs, and how well."""

    Status: str
    Running: bool
    Pid: int
    StartedAt: str
    Health: dict[str, str] | None


class InspectedConfig(TypedDict, total=False):
    """What it was made with."""

    Image: str
    Labels: dict[str, str] | None
    Env: list[str] | None
    Entrypoint: object
    Cmd: object
    WorkingDir: str | None
    ExposedPorts: dict[str, object] | None
    StopSignal: str | None
    StopTimeout: int | None


class InspectedHost(TypedDict, total=False):
    """What it has of the host."""

    RestartPolicy: dict[str, str] | None
    PortBindings: dict[str, list[dict[str, str]]] | None


class InspectedNetwork(TypedDict, total=False):
    """How one network knows it."""

    IPAddress: str
    Aliases: list[str] | None
    DNSNames: list[str] | None


class InspectedNetworks(TypedDict, total=False):
    """Its networks, and the ports that it publishes there."""

    Networks: dict[str, InspectedNetwork] | None
    Ports: dict[str, list[dict[str, str]] | None] | None


class InspectedMount(TypedDict, total=False):
    """A folder of the host or a volume in it."""

    Type: str
    Name: str
    Source: str
    Destination: str


class Inspected(TypedDict, total=False):
    """One container."""

    Id: str
    Name: str
    RestartCount: int
    Config: InspectedConfig
    State: InspectedState
    HostConfig: InspectedHost
    NetworkSettings: InspectedNetworks
    Mounts: list[InspectedMount] | None
