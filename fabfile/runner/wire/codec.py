"""Frozen dataclasses to JSON and back: the wire format of plans, facts and events.

A dataclass becomes an object whose "type" is its name; tuples become lists. Fields with the metadata
`wire: False` stay where they are: file contents travel beside the plan, not in it.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from .shape import misfit

_PLAIN = "plain"  # a dictionary that itself has a key "type"

_types: dict[str, type[Any]] = {}
T = TypeVar("T")


def wire(cls: type[T]) -> type[T]:
    """Class decorator: the dataclass may travel."""
    if cls.__name__ in _types:
        raise TypeError(f"two wire types are called {cls.__name__}")
    _types[cls.__name__] = cls
    return cls


def encode(value: Any) -> Any:
    """Plain JSON data for a wire dataclass, or for containers of such."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f for f in dataclasses.fields(value) if f.metadata.get("wire", True)]
        return {"type": type(value).__name__, **{f.name: encode(getattr(value, f.name)) for f in fields}}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        plain = {key: encode(item) for key, item in value.items()}
        # A service may be called "type" as well.
        return {"type": _PLAIN, "items": plain} if "type" in plain else plain
    return value


def decode(data: Any) -> Any:
    """The value that `encode` was given, lists as tuples. Raises ValueError for what this version does not know."""
    if isinstance(data, list):
        return tuple(decode(item) for item in data)
    if not isinstance(data, dict):
        return data
    name = data.get("type")
    if name == _PLAIN and isinstance(data.get("items"), dict):
        return {key: decode(item) for key, item in data["items"].items()}
    fields = {key: decode(item) for key, item in data.items() if key != "type"}
    if name is None:
        return fields
    declared = _types.get(name) if isinstance(name, str) else None
    if declared is None:
        raise ValueError(f"unknown type {name!r}: it was made by another version")
    try:
        value = declared(**fields)
    except TypeError as error:
        raise ValueError(f"{name} is another version's: {error}") from error
    problem = misfit(value, declared)
    if problem:
        raise ValueError(f"{name} is damaged, or another version's: {problem}")
    return value


def decode_as(declared: type[T], data: Any) -> T:
    """As `decode`, for what must be of that type. Raises ValueError."""
    value = decode(data)
    if not isinstance(value, declared):
        raise ValueError(f"this is no {declared.__name__}: {str(data)[:80]}")
    return value
