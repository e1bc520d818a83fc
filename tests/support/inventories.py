"""Inventories for tests: the tests' own, changed key by key, and the one that the project ships."""

from __future__ import annotations

import copy
import datetime
import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fabfile.errors import InventoryError
from fabfile.inventory import Site, load, paths

REPOSITORY = Path(__file__).parents[2]
INVENTORY = REPOSITORY / "tests" / "site.toml"
SHIPPED = REPOSITORY / "inventory.toml"
WRITTEN: dict[str, Any] = tomllib.loads(INVENTORY.read_text())
REMOVED = object()
"""In place of a value: take the key out."""


def changed(changes: Mapping[str, Any] | Mapping[paths.Path, Any]) -> dict[str, Any]:
    """The tests' inventory with the values at some paths ("services.api.port") replaced."""
    raw = copy.deepcopy(WRITTEN)
    for key, value in changes.items():
        path = paths.split(key) if isinstance(key, str) else key
        if value is REMOVED:
            del paths.get(raw, path[:-1])[path[-1]]
        elif isinstance(path[-1], int):
            paths.get(raw, path[:-1])[path[-1]] = value
        else:
            assert paths.put(raw, path, value), f"{path} is no place for a value"
    return raw


def site(tmp_path: Path, changes: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None) -> Site:
    """Load the changed inventory as an operator would: from a file."""
    file = tmp_path / "inventory.toml"
    file.write_text(toml(changed(changes or {})), encoding="utf-8")
    return load(file, env or {})


def problems(
    tmp_path: Path, changes: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """What is said about the changed inventory, which must not load."""
    with pytest.raises(InventoryError) as caught:
        site(tmp_path, changes, env)
    return caught.value.problems


def toml(tables: Mapping[str, Any]) -> str:
    """Tables as TOML text, each top-level key on a line of its own."""
    return "".join(f"{_string(key)} = {_value(value)}\n" for key, value in tables.items())


def leaves(value: object, at: paths.Path = ()) -> list[paths.Path]:
    """The paths of every value that is no table, items of lists included."""
    if isinstance(value, dict):
        return [path for key, item in value.items() for path in leaves(item, (*at, key))]
    if isinstance(value, list):
        return [at, *(path for index, item in enumerate(value) for path in leaves(item, (*at, index)))]
    return [at]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    assert isinstance(value, dict), f"{value!r} has no form in TOML"
    return "{" + ", ".join(f"{_string(key)} = {_value(item)}" for key, item in value.items()) + "}"


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
