"""Which workloads are the owner's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..system.machine import Machine, StepFailed
from ..system.owner import NOBODY, find_owner
from ..wire.facts import Workload
from ..wire.terms import Owner


def of_owner(
    machine: Machine, workloads: Sequence[Workload], owner_file: str, project: str
) -> tuple[Owner, list[Workload]]:
    """The owner, and those of the workloads that it runs. Raises StepFailed where nobody owns the app."""
    owner = find_owner(machine, Path(owner_file), project)
    if not owner:
        raise StepFailed(NOBODY)
    return owner, [workload for workload in workloads if workload.runtime == owner]
