"""Which services and servers a command is about, by the names that the inventory has for them."""

from __future__ import annotations

from fabfile import workloads
from fabfile.errors import UsageError
from fabfile.inventory import RUNTIMES, Site
from fabfile.runner.wire.facts import Workload


def named(site: Site, text: str) -> tuple[Workload, ...]:
    """The workloads of both runtimes that a list with commas names; without one all of them. Raises UsageError."""
    everything = tuple(w for runtime in RUNTIMES for w in workloads.everything(site, runtime))
    known = list(dict.fromkeys(workload.name for workload in everything))
    names = [name.strip() for name in text.split(",")] if text else known
    for name in names:
        if name not in known:
            raise UsageError.unknown("service", name, known)
    return tuple(workload for workload in everything if workload.name in names)
