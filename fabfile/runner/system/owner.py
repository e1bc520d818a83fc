"""Who owns the app: the one rule for both machines, and the file that it reads."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from ..wire.facts import Container
from ..wire.terms import Owner, runtime_named
from . import docker
from .machine import Machine, StepFailed

NOBODY = "nobody owns the app: there is no owner file, and no container of Docker's runs"


def owner_of(declared: Owner, containers: Iterable[Container]) -> Owner:
    """The owner, by what the owner file declares and the project's containers; empty when nobody owns the app.

    Before the first hand-over there is no owner file, and Docker owns. A file that was lost looks the same, so Docker
    owns only where a container of the project runs.
    """
    if declared:
        return declared
    return "docker" if any(container.running for container in containers) else ""


def find_owner(machine: Machine, path: Path, project: str) -> Owner:
    """The current owner, by the owner file and, where there is none, the Compose project's containers.

    Raises StepFailed as `read_owner` does, and when Docker does not answer though its containers decide.
    """
    declared = read_owner(path)
    return declared or owner_of(declared, docker.containers(machine, project).values())


def read_owner(path: Path) -> Owner:
    """The runtime in the owner file; empty when there is no file. Raises StepFailed for any other content."""
    try:
        text, mode = path.read_text(errors="replace").strip(), stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StepFailed(f"the owner file cannot be read: {error}") from error
    runtime = runtime_named(text)
    if not runtime:
        raise StepFailed(f"the owner file holds {text[:40]!r}, neither native nor docker")
    if not mode & stat.S_IROTH:
        raise StepFailed(f"the owner file is not readable by all (mode {mode:03o}): nothing native starts")
    return runtime
