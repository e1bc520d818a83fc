"""A checker of JSON Schema, as far as docs/inventory.schema.json uses it. Other keywords are errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_SAID = {"$schema", "title", "description", "default"}  # which decide nothing
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}
_PLAIN: dict[str, Callable[[Any, Any], bool]] = {
    "enum": lambda value, choices: value in choices,
    "pattern": lambda value, pattern: re.search(pattern, value) is not None,
    "minimum": lambda value, least: value >= least,
    "maximum": lambda value, most: value <= most,
    "exclusiveMinimum": lambda value, least: value > least,
    "minItems": lambda value, least: len(value) >= least,
}


def misfits(value: Any, schema: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """What does not fit, as `path: keyword`. Raises KeyError for a keyword that this checker does not know."""
    if not _TYPES[schema["type"]](value):
        yield f"{at}: type"
        return
    for keyword, limit in schema.items():
        if keyword in _SAID or keyword == "type":
            continue
        if keyword in _TABLES:
            yield from _TABLES[keyword](value, schema, at)
        elif not _PLAIN[keyword](value, limit):
            yield f"{at}: {keyword}"


def _below(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _properties(value: Any, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    for key, inner in schema["properties"].items():
        if key in value:
            yield from misfits(value[key], inner, _below(at, key))


def _additional(value: Any, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    others = schema["additionalProperties"]
    for key in value.keys() - schema.get("properties", {}).keys():
        if others is False:
            yield f"{_below(at, key)}: additionalProperties"
        else:
            yield from misfits(value[key], others, _below(at, key))


def _names(value: Any, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    for key in value:
        if list(misfits(key, {"type": "string", **schema["propertyNames"]})):
            yield f"{_below(at, key)}: propertyNames"


def _required(value: Any, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from (f"{_below(at, key)}: required" for key in schema["required"] if key not in value)


def _items(value: Any, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    for index, item in enumerate(value):
        yield from misfits(item, schema["items"], f"{at}[{index}]")


_TABLES: dict[str, Callable[[Any, Mapping[str, Any], str], Iterator[str]]] = {
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "required": _required,
    "items": _items,
}
