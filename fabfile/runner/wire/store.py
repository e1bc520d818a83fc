"""The runner's store on the VPS, as data: its files, its lock, and unfinished plans."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from .codec import wire


@wire
@dataclass(frozen=True)
class LockHolder:
    """The holder of a lock, by the lock's file. Every field is empty while the file is being written."""

    who: str = ""
    what: str = ""
    since: str = ""  # local time of the VPS
    plan: str = ""  # identifier of the plan that runs
    soak: str = ""  # or of the soak

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> LockHolder:
        """The holder from plain JSON. Fields that a newer version adds are left out."""
        return cls(**{field.name: str(fields.get(field.name, "")) for field in dataclasses.fields(cls)})

    def as_json(self) -> dict[str, str]:
        """The fields that are not empty, as the lock's file and events have them."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value}

    def __str__(self) -> str:
        return f"{self.who or 'somebody'} runs {self.what or 'a plan'} since {self.since or 'an unknown time'}"


@wire
@dataclass(frozen=True)
class StoreState:
    """What the store already has. `lock` is None while no plan runs."""

    files: tuple[str, ...] = ()  # shipped contents, by SHA-256
    runners: tuple[str, ...] = ()  # zipapps, by file name
    lock: LockHolder | None = None
    unfinished: tuple[str, ...] = ()  # identifiers of plans that were interrupted or are stuck, oldest first
    last: str = ""  # identifier of the plan that began last
    last_outcome: str = ""  # how it ended; empty where it has not
