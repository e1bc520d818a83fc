"""The output of `docker inspect` for a container, as far as it is read here. Docker may leave out any key."""

from __future__ import annotations

from typing import TypedDict


class InspectedState(TypedDict, total=False):
    """Its state and health."""

    Status: str
    Running: bool
    Pid: int
    StartedAt: str
    Health: dict[str, str] | None


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


class InspectedHost(TypedDict, total=False):
    """Its restart policy, and the ports bound on the host."""

    RestartPolicy: dict[str, str] | None
    PortBindings: dict[str, list[dict[str, str]]] | None


class InspectedNetwork(TypedDict, total=False):
    """Its address and names on one network."""

    IPAddress: str
    Aliases: list[str] | None
    DNSNames: list[str] | None


class InspectedNetworks(TypedDict, total=False):
    """Its networks, and the ports that it publishes there."""

    Networks: dict[str, InspectedNetwork] | None
    Ports: dict[str, list[dict[str, str]] | None] | None


class InspectedMount(TypedDict, total=False):
    """A mounted folder of the host, or a volume."""

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
