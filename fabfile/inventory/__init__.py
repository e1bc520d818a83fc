"""The typed inventory: everything that is particular to one installation, read from inventory.toml."""

from fabfile.inventory.fields import BRIDGE
from fabfile.inventory.load import load
from fabfile.inventory.model import (
    RUNTIMES,
    SCOPES,
    App,
    ClickHouse,
    Docker,
    Edge,
    Firewall,
    Host,
    Infra,
    Native,
    Nats,
    Public,
    Redis,
    Runtimes,
    Server,
    Service,
    Site,
    Timeouts,
    Tool,
)

__all__ = [
    "BRIDGE",
    "RUNTIMES",
    "SCOPES",
    "App",
    "ClickHouse",
    "Docker",
    "Edge",
    "Firewall",
    "Host",
    "Infra",
    "Native",
    "Nats",
    "Public",
    "Redis",
    "Runtimes",
    "Server",
    "Service",
    "Site",
    "Timeouts",
    "Tool",
    "load",
]
