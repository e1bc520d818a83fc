"""An inventory in the making: values by their path, each with where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from fabfile.adoption import toml
from fabfile.inventory import paths, questions

FOUND: Final = "found"
"""It is so on the VPS; an inventory that says otherwise is wrong."""
PROPOSED: Final = "proposed"
"""It follows from what is on the VPS; another value may be right as well."""
SHIPPED: Final = "shipped"
"""It can't be seen on the VPS; it is what the inventory that comes with the tool says."""
ASKED: Final = "asked"
"""It could not be found: somebody has to answer."""


@dataclass(frozen=True)
class Entry:
    """A value and where it comes from: the kind of source, and the very place in words."""

    value: Any
    origin: str
    why: str


@dataclass
class Draft:
    """Values by path, in the order of the file, and notes for whole tables."""

    entries: dict[paths.Path, Entry] = field(default_factory=dict)
    notes: dict[paths.Path, list[str]] = field(default_factory=dict)

    def found(self, key: str | paths.Path, value: Any, why: str) -> None:
        """What is on the VPS."""
        self._put(key, value, FOUND, why)

    def propose(self, key: str | paths.Path, value: Any, why: str) -> None:
        """What follows from it."""
        self._put(key, value, PROPOSED, why)

    def ship(self, key: str | paths.Path, value: Any, why: str = "") -> None:
        """What nobody can see there."""
        self._put(key, value, SHIPPED, f"as shipped: {why}" if why else "as shipped")

    def ask(self, key: str | paths.Path, why: str) -> None:
        """What somebody has to say, and why it could not be found."""
        self._put(key, questions.question(why), ASKED, "")

    def note(self, table: str | paths.Path, text: str) -> None:
        """Something to know about a table of the file."""
        self.notes.setdefault(_path(table), []).append(text)

    def __contains__(self, key: str | paths.Path) -> bool:
        return _path(key) in self.entries

    def get(self, key: str | paths.Path) -> Any:
        """The value at a path; None where there is none yet, and where it is asked for."""
        entry = self.entries.get(_path(key))
        return entry.value if entry and entry.origin != ASKED else None

    def below(self, table: paths.Path) -> Iterator[paths.Path]:
        """The paths of the values in a table and its tables."""
        place = _path(table)
        return (path for path in list(self.entries) if path[: len(place)] == place)

    def drop(self, table: paths.Path) -> None:
        """Take a value out, or a table with all that is in it and was said of it."""
        for path in self.below(table):
            del self.entries[path]
        place = _path(table)
        self.notes = {path: entry for path, entry in self.notes.items() if path[: len(place)] != place}

    def raw(self) -> dict[str, Any]:
        """The tables of the file."""
        tables: dict[str, Any] = {}
        for path, entry in self.entries.items():
            paths.put(tables, path, entry.value)
        return tables

    def questions(self) -> list[str]:
        """What is asked, each with its path."""
        return [f"{paths.spell(path)} {e.value}" for path, e in self.entries.items() if e.origin == ASKED]

    def _put(self, key: str | paths.Path, value: Any, origin: str, why: str) -> None:
        self.entries[_path(key)] = Entry(value, origin, why)


def _path(key: str | paths.Path) -> paths.Path:
    """A path as the file can hold it: two names may differ in what no file holds."""
    keys = paths.split(key) if isinstance(key, str) else key
    return tuple(toml.whole(part) if isinstance(part, str) else part for part in keys)
