"""Versions of the formats that outlive a process: each file says its own, and a newer one is refused in words."""

from __future__ import annotations

from typing import Final

PLAN: Final = 1  # plans/<id>/plan.json
JOURNAL: Final = 2  # every line of a plan's or a soak's journal
BACKUP: Final = 1  # a backup of the edge: its manifest.json
RELEASE: Final = 1  # releases/<runtime>-<commit>.json


class NewerFormat(ValueError):
    """A file that a newer islandflow wrote, which this one might misread."""


def require(number: object, known: int, what: str) -> None:
    """Raise NewerFormat unless this version reads format `number` of `what`; a file without one has the first."""
    version = 1 if number is None else number
    if not isinstance(version, int) or version > known:
        raise NewerFormat(f"{what} has format {version}, and this islandflow reads up to {known}: use a newer one")
