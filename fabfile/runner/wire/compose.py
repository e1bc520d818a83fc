"""Facts about the Compose project, as data: which files it is made of, and what Compose reads in them."""

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
    overlay: str = ""  # laid over the own file once it is written; empty: the own file runs as it is


@wire
@dataclass(frozen=True)
class ComposeService:
    """A service as Compose reads it, those behind a profile included, and what of it is not on the VPS."""

    name: str
    image: str  # Compose's own name for it, where the file only says how it is built
    there: bool  # the image is on the VPS
    built: bool  # the file says how to build it
    lacking: tuple[str, ...] = ()  # contexts and Dockerfile of its build that are not on the VPS
    mounts: dict[str, str] = field(default_factory=dict)  # folder in the container → folder of the VPS, or volume
    restart: str = ""


@wire
@dataclass(frozen=True)
class ComposeDifference:
    """A place where what Compose will run is not what the app's own file says; its values stay on the VPS."""

    path: tuple[str, ...]  # services, web, environment, LOG_LEVEL
    change: str  # added, changed or removed by the overlay; lacking: a plan would write it
    planned: bool  # it is so by the overlay that a plan would write


@wire
@dataclass(frozen=True)
class ComposeView:
    """What stands between the app's own file, what the next call of Compose runs, and the containers as they are."""

    differences: tuple[ComposeDifference, ...] = ()
    renewed: tuple[str, ...] = ()  # containers that are not as the files say
    problem: str = ""  # why the files cannot be compared
    untold: str = ""  # why nothing is known of the containers
