"""Reading and writing single values in nested tables, by path; a `*` in one stands for every key or index."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def split(pattern: str) -> tuple[str, ...]:
    """ "services.*.port" as a path."""
    return tuple(pattern.split("."))


def matches(path: Path, pattern: str) -> bool:
    """Whether a path is one that `pattern` stands for."""
    keys = split(pattern)
    return len(keys) == len(path) and all(key in ("*", part) for key, part in zip(keys, path, strict=True))


def find(tree: object, pattern: str) -> Iterator[tuple[Path, Any]]:
    """Every value that `pattern` matches, with its path; what isn't there matches nothing."""
    return _find(tree, split(pattern), ())


def _find(tree: object, rest: tuple[str, ...], at: Path) -> Iterator[tuple[Path, Any]]:
    if not rest:
        yield at, tree
        return
    key, tail = rest[0], rest[1:]
    if isinstance(tree, dict):
        keys = list(tree) if key == "*" else [key] if key in tree else []
        for name in keys:
            yield from _find(tree[name], tail, (*at, name))
    elif isinstance(tree, list) and key == "*":
        for index, item in enumerate(tree):
            yield from _find(item, tail, (*at, index))


def get(tree: Any, path: Path) -> Any:
    """The value at a path, or None."""
    for key in path:
        known = range(len(tree)) if isinstance(tree, list) else tree if isinstance(tree, dict) else ()
        if key not in known:
            return None
        tree = tree[key]
    return tree


def put(tree: dict[str, Any], path: Path, value: object) -> bool:
    """Set the value at a path, making tables on the way; False if something there is not a table."""
    table: Any = tree
    for key in path[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            return False
    table[path[-1]] = value
    return True


def spell(path: Path) -> str:
    """A path as one would write it in the file: services.api.durables[2]."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if _BARE_KEY.fullmatch(key) else quote(key))
    return text


def quote(value: object) -> str:
    """A value as one would write it in the file, on one line and not too long."""
    if isinstance(value, (bool, str)):
        text = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, dict):
        text = "a table"
    elif isinstance(value, (list, tuple)):
        text = "a list"
    else:
        text = str(value)
    text = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
    return text if len(text) <= 80 else text[:76] + " ..."
