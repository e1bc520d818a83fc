"""A draft as the text of an inventory: every value with a comment that says what it was found in."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from fabfile.adoption import toml
from fabfile.adoption.draft import ASKED, SHIPPED, Draft, Entry
from fabfile.inventory import paths

_WIDTH = 118
_PLAIN = "as shipped"  # which says less than any other source
_COLUMN = 40  # where comments begin
_INLINE = ("streams.*", "provider.adapters.*.headers")  # tables that stand on one line each
_ORDER = (
    "hosts",
    "app",
    "services",
    "runtimes",
    "infra",
    "backup",
    "streams",
    "provider",
    "edge",
    "firewall",
    "public",
)
_SECTIONS: dict[paths.Path, str] = {
    ("hosts",): "Where",
    ("app",): "What",
    ("runtimes",): "Who runs it",
    ("infra",): "On what",
    ("streams",): "What flows",
    ("edge",): "Seen by whom",
}


def text(draft: Draft, heading: Iterable[str]) -> str:
    """The whole file, with `heading` as its first comment."""
    lines = [f"# {toml.comment(line)}".rstrip() for line in heading]
    tables = _tables(draft)
    begun: set[paths.Path] = set()
    for path in _ordered(tables):
        if path[:1] in _SECTIONS and path[:1] not in begun:
            begun.add(path[:1])
            title = f"# ── {_SECTIONS[path[:1]]} "
            lines += ["", "", title + "─" * (_WIDTH - len(title))]
        lines += _table(path, tables[path], draft)
    return "\n".join(lines) + "\n"


def _tables(draft: Draft) -> dict[paths.Path, dict[paths.Path, Entry]]:
    """The values by the table that they stand in; those of an inline table stand in its parent."""
    found: dict[paths.Path, dict[paths.Path, Entry]] = {}
    for path, entry in draft.entries.items():
        if entry.value == {}:
            found.setdefault(path, {})
        else:
            found.setdefault(_table_of(path), {})[path] = entry
    for path in draft.notes:
        if not any(path[:size] in draft for size in range(1, len(path) + 1)):
            found.setdefault(path, {})
    return found


def _table_of(path: paths.Path) -> paths.Path:
    for size in range(1, len(path)):
        if any(paths.matches(path[:size], pattern) for pattern in _INLINE):
            return path[: size - 1]
    return path[:-1]


def _ordered(tables: Iterable[paths.Path]) -> list[paths.Path]:
    """The file's own values first, then the sections; a table's tables behind it, else as they were made."""
    made: dict[paths.Path, int] = {}
    for path in tables:
        for size in range(len(path) + 1):
            made.setdefault(path[:size], len(made))

    def rank(path: paths.Path) -> list[int]:
        first = [_ORDER.index(str(path[0])) if path[0] in _ORDER else len(_ORDER)] if path else []
        return first + [made[path[:size]] for size in range(1, len(path) + 1)]

    return sorted(tables, key=rank)


def _table(path: paths.Path, entries: dict[paths.Path, Entry], draft: Draft) -> Iterator[str]:
    yield ""
    for note in draft.notes.get(path, ()):
        yield from _wrapped(note)
    common = _common(entries.values())
    if common:
        yield from _wrapped(f"All of it {common}.")
    if path:
        yield f"[{toml.key(path)}]"
    for line, why in _lines(path, entries):
        yield from _line(line, "" if common else why)


def _common(entries: Iterable[Entry]) -> str:
    """What all values of a table have as their only source, where that is what was shipped."""
    reasons = {(entry.origin, entry.why) for entry in entries}
    origin, why = next(iter(reasons), ("", ""))
    return why if len(reasons) == 1 and origin == SHIPPED else ""


def _lines(path: paths.Path, entries: dict[paths.Path, Entry]) -> Iterator[tuple[str, str]]:
    """Each assignment, and why it says so; the values of an inline table together."""
    inline: dict[paths.Path, dict[str, Entry]] = {}
    for at, entry in entries.items():
        if len(at) > len(path) + 1:
            inline.setdefault(at[: len(path) + 1], {})[str(at[-1])] = entry
        else:
            yield _assignment(toml.key(at[-1:]), entry), entry.why
    for at, inner in inline.items():
        values = toml.value({name: entry.value for name, entry in inner.items()})
        reasons = list(dict.fromkeys(entry.why for entry in inner.values() if entry.why))
        found = [why for why in reasons if why != _PLAIN] or reasons
        yield f"{toml.key(at[-1:])} = {values}", "; ".join(found)


def _assignment(key: str, entry: Entry) -> str:
    """A key and its value; a list that would get too long on lines of its own."""
    line = f"{key} = {toml.string(entry.value) if entry.origin == ASKED else toml.value(entry.value)}"
    if len(line) <= _WIDTH or not isinstance(entry.value, (list, tuple)):
        return line
    return "\n".join([f"{key} = [", *(f"    {toml.value(item)}," for item in entry.value), "]"])


def _line(line: str, why: str) -> Iterator[str]:
    """A line with its comment behind it, or before it where it would get too long."""
    if not why:
        yield line
        return
    beside = f"{line.ljust(_COLUMN - 1)} # {toml.comment(why)}"
    if len(beside) <= _WIDTH and "\n" not in line:
        yield beside
    else:
        yield from _wrapped(why)
        yield line


def _wrapped(note: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(toml.comment(note), _WIDTH - 2, break_on_hyphens=False)]
