"""Holds what --json prints against the schema in docs/events.md; knows the words of JSON Schema that stand there."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = {"type", "const", "enum", "properties", "required", "additionalProperties", "items"}


@cache
def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each kind of line."""
    (text,) = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return {one["properties"]["kind"]["const"]: one for one in json.loads(text)["oneOf"]}


def problems(line: Any) -> list[str]:
    """What is wrong with a line; nothing when it is as the page says."""
    kind = line.get("kind") if isinstance(line, dict) else None
    if kind not in schemas():
        return [f"the page has no kind {kind!r}: {line}"]
    return [f"{kind}{problem}" for problem in _problems(line, schemas()[kind])]


def _problems(value: Any, schema: dict[str, Any]) -> list[str]:
    unknown = schema.keys() - _KNOWN
    assert not unknown, f"this checker does not know {unknown}"
    types = schema.get("type", [])
    if types and not any(_is(value, name) for name in ([types] if isinstance(types, str) else types)):
        return [f" is no {types}: {value!r}"]
    if "const" in schema and value != schema["const"]:
        return [f" is not {schema['const']!r}: {value!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f" is none of {schema['enum']}: {value!r}"]
    if "items" in schema:
        return [f"[{n}]{problem}" for n, item in enumerate(value) for problem in _problems(item, schema["items"])]
    properties = schema.get("properties", {})
    found = [f" has no {name}" for name in schema.get("required", ()) if name not in value]
    if schema.get("additionalProperties") is False:
        found += [f" has {name}, which the page does not" for name in value.keys() - properties.keys()]
    for name, inner in properties.items():
        if name in value:
            found += [f".{name}{problem}" for problem in _problems(value[name], inner)]
    return found


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
