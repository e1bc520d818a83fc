"""Values, keys and comments as TOML, whatever text is in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def key(path: Sequence[str | int]) -> str:
    """A dotted key, quoted where it must be."""
    return ".".join(part if _BARE.match(part) else string(part) for part in map(str, path))


def value(given: object) -> str:
    """A value on one line."""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, (int, float)):
        return str(given)
    if isinstance(given, Mapping):
        if not given:
            return "{}"
        return "{ " + ", ".join(f"{key([name])} = {value(item)}" for name, item in given.items()) + " }"
    if isinstance(given, (list, tuple)):
        return "[" + ", ".join(map(value, given)) + "]"
    return string(str(given))


def whole(text: str) -> str:
    """Text that a UTF-8 file can hold: half a surrogate pair becomes a replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def string(text: str) -> str:
    """A basic string."""
    return json.dumps(whole(text), ensure_ascii=False).replace("\x7f", "\\u007f")


def comment(text: str) -> str:
    """Text as it may stand behind a #: on one line, without what can't be seen."""
    return "".join(char if char.isprintable() else " " for char in text).strip()
