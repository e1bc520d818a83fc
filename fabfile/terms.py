"""What runtimes, parts of the app and postures of DNS are called, for inventory and command line alike."""

from __future__ import annotations

from typing import Final, Literal

from fabfile.runner.wire.terms import RUNTIMES, Owner, Runtime, other, runtime_named

__all__ = ["POSTURES", "RUNTIMES", "SCOPES", "Owner", "Runtime", "Scope", "other", "runtime_named"]

# Apart from the inventory, so that listing and completing the tasks loads none of its models.
Scope = Literal["full", "web", "api", "services", "workers"]

SCOPES: Final[tuple[Scope, ...]] = ("full", "web", "api", "services", "workers")
POSTURES: Final = ("dns-only", "proxied")
