"""Facts about the Compose project, as data: its files, and the services that Compose reads in them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .codec import wire


@wire
@dataclass(frozen=True)
class Compose:
    """A Compose project: its name, the app's own file, the folder relative paths in it start from, and our overlay."""

    project: str
    file: str
    directory: str
    overlay: str = ""  # merged over the own file once it is written; empty: the own file runs as it is


@wire
@dataclass(frozen=True)
class ComposeService:
    """A service as Compose reads it, also one behind a profile, and what it lacks on the VPS."""

    name: str
    image: str  # Compose's own name for it, where the file only says how it is built
    there: bool  # the image is on the VPS
    built: bool  # the file says how to build it
    lacking: tuple[str, ...] = ()  # contexts and Dockerfile of its build that are not on the VPS
    mounts: dict[str, str] = field(default_factory=dict)  # folder in the container → folder of the VPS, or volume
    restart: str = ""
    limits: dict[str, str] = field(default_factory=dict)  # of Redis: maxmemory and maxmemory-policy by its command line


@wire
@dataclass(frozen=True)
class ComposeDifference:
    """A setting that Compose will run otherwise than the app's own file has it; its values stay on the VPS."""

    path: tuple[str, ...]  # services, web, environment, LOG_LEVEL
    change: str  # added, changed or removed by the overlay; lacking: a plan would write it
    planned: bool  # it is so by the overlay that a plan would write


@wire
@dataclass(frozen=True)
class ComposeView:
    """How the app's own file, the next call of Compose, and the present containers differ."""

    differences: tuple[ComposeDifference, ...] = ()
    renewed: tuple[str, ...] = ()  # containers that Compose would recreate
    problem: str = ""  # why the files cannot be compared
    untold: str = ""  # why nothing is known of the containers
