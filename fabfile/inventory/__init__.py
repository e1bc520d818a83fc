"""The typed inventory: everything that is particular to one installation, read from inventory.toml."""

from fabfile.inventory.app import App, Docker, Native, Releases, Runtimes, Service
from fabfile.inventory.dns import Dns, DnsRecord
from fabfile.inventory.fields import BRIDGE
from fabfile.inventory.load import absolute, load, open_problems
from fabfile.inventory.model import (
    Backup,
    ClickHouse,
    Edge,
    Firewall,
    Host,
    Infra,
    Nats,
    Notify,
    Redis,
    Server,
    Site,
    Timeouts,
)
from fabfile.inventory.paths import spell
from fabfile.inventory.public import Lookup, Public
from fabfile.inventory.sources import Adapter, Provider, Stream
from fabfile.terms import POSTURES, RUNTIMES, SCOPES

__all__ = [
    "BRIDGE",
    "POSTURES",
    "RUNTIMES",
    "SCOPES",
    "Adapter",
    "App",
    "Backup",
    "ClickHouse",
    "Dns",
    "DnsRecord",
    "Docker",
    "Edge",
    "Firewall",
    "Host",
    "Infra",
    "Lookup",
    "Native",
    "Nats",
    "Notify",
    "Provider",
    "Public",
    "Redis",
    "Releases",
    "Runtimes",
    "Server",
    "Service",
    "Site",
    "Stream",
    "Timeouts",
    "absolute",
    "load",
    "open_problems",
    "spell",
]
