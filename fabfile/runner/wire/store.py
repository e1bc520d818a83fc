"""What the runner keeps on the VPS, as data: its files, its lock, the plans that did not end well."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from .codec import wire


@wire
@dataclass(frozen=True)
class LockHolder:
    """Who holds a lock, as its file says. Every field is empty for the instant in which the file is written."""

    who: str = ""
    what: str = ""
    since: str = ""  # local time of the VPS
    plan: str = ""  # identifier of the plan that runs
    soak: str = ""  # or of the soak

    @classmethod
    def of(cls, said: Mapping[str, object]) -> LockHolder:
        """The holder in plain JSON. What a newer version adds is left out."""
        return cls(**{field.name: str(said.get(field.name, "")) for field in dataclasses.fields(cls)})

    def as_json(self) -> dict[str, str]:
        """The fields that are not empty, as the lock's file and events have them."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value}

    def __str__(self) -> str:
        return f"{self.who or 'somebody'} runs {self.what or 'a plan'} since {self.since or 'an unknown time'}"


@wire
@dataclass(frozen=True)
class StoreState:
    """What is on the VPS already. `lock` is None while no plan runs."""

    files: tuple[str, ...] = ()  # shipped contents, by SHA-256
    runners: tuple[str, ...] = ()  # zipapps, by file name
    lock: LockHolder | None = None
    unfinished: tuple[str, ...] = ()  # identifiers of plans that were interrupted or are stuck, oldest first
