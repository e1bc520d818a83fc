"""Versions of the formats that outlive a process: each file says its own, and a newer one is refused in words."""

from __future__ import annotations

from typing import Final

PLAN: Final = 1  # plans/<id>/plan.json
JOURNAL: Final = 2  # every line of a plan's or a soak's journal
BACKUP: Final = 1  # a backup of the edge: its manifest.json


class NewerFormat(ValueError):
    """A file that a newer islandflow wrote: what this one would read in it may be wrong."""


def require(found: object, known: int, what: str) -> None:
    """Raise NewerFormat unless this version reads format `found` of `what`; a file that names none has the first."""
    version = 1 if found is None else found
    if not isinstance(version, int) or version > known:
        raise NewerFormat(f"{what} has format {version}, and this islandflow reads up to {known}: use a newer one")
