"""What runtimes, parts of the app and postures of DNS are called, for inventory and command line alike."""

from __future__ import annotations

from typing import Final

# Apart from the inventory, so that listing and completing the tasks loads none of its models.
RUNTIMES: Final = ("native", "docker")
SCOPES: Final = ("full", "web", "api", "services", "workers")
POSTURES: Final = ("dns-only", "proxied")
