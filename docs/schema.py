"""The inventory's models → a JSON Schema of the file as somebody writes it.

The model sees a file after fabfile/inventory/defaults.py has filled in what follows from something else. The schema is
of the file before that. It uses neither $ref nor null, so that any editor understands it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema

from fabfile.inventory import defaults, paths
from fabfile.inventory.base import Table
from fabfile.inventory.model import Site

Schema = dict[str, Any]

_NULL: Final = {"type": "null"}


class _Untitled(GenerateJsonSchema):
    """Without titles made of the keys, which say nothing that the keys do not."""

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        return False


def inventory() -> Schema:
    """The schema of a whole inventory."""
    raw = Site.model_json_schema(schema_generator=_Untitled)
    tables = {kind.__name__: kind for kind in _below(Table)}
    for name, definition in {**raw["$defs"], "Site": raw}.items():
        definition.pop("title", None)
        known = texts(tables[name])
        for key, inner in definition["properties"].items():
            if key in known:
                inner["description"] = known[key]
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Inventory of Islandflow cutover"}
    return head | _written(raw, raw.pop("$defs"), ())


def _below(kind: type[BaseModel]) -> list[type[BaseModel]]:
    return [kind, *(inner for below in kind.__subclasses__() for inner in _below(below))]


def texts(kind: type[BaseModel]) -> dict[str, str]:
    """What the texts below its keys say, those of its bases included."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Table):
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
            assert isinstance(body, ast.ClassDef)
            for statement, text in zip(body.body, body.body[1:], strict=False):
                if isinstance(statement, ast.AnnAssign) and isinstance(text, ast.Expr):
                    assert isinstance(statement.target, ast.Name) and isinstance(text.value, ast.Constant)
                    found[statement.target.id] = " ".join(str(text.value.value).split())
    return found


def _written(node: Schema, definitions: dict[str, Schema], at: tuple[str, ...]) -> Schema:
    """The schema at a path of the file: what may be left out may be, and no definition stands elsewhere."""
    node = _resolved(node, definitions)
    pattern = ".".join(at)
    for relative, base in defaults.RELATIVE_TO:
        if paths.matches(at, relative):
            del node["pattern"]
            node["title"] = f"path, absolute or below {base}"
    if "properties" in node:
        return _table(node, definitions, at)
    if "patternProperties" in node:
        ((rule, inner),) = node.pop("patternProperties").items()
        return node | {"propertyNames": {"pattern": rule}, "additionalProperties": inner}
    entries = node.get("additionalProperties")
    if isinstance(entries, dict):
        inner = _written(entries, definitions, (*at, "*"))
        node |= {"additionalProperties": inner}
        if pattern in defaults.NAMED:
            node |= {"description": inner["description"], "propertyNames": _definition(entries, definitions)["name"]}
    return node


def _resolved(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """A value with its definition in its place, as it is where it is there."""
    if "anyOf" in node and _NULL in node["anyOf"]:
        (there,) = (kind for kind in node["anyOf"] if kind != _NULL)
        node = there | {key: value for key, value in node.items() if key not in ("anyOf", "default")}
    if "$ref" in node:
        definition = definitions[node["$ref"].rpartition("/")[2]]
        node = definition | {key: value for key, value in node.items() if key not in ("$ref", "default")}
    return {key: value for key, value in node.items() if key != "format"}


def _definition(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """The keys of a table that stands elsewhere."""
    properties: Schema = definitions[node["$ref"].rpartition("/")[2]]["properties"]
    return properties


def _table(node: Schema, definitions: dict[str, Schema], at: tuple[str, ...]) -> Schema:
    """A table. The name of an entry is its key in the table above, and stands nowhere else."""
    left_out = {pattern.split(".")[-1] for pattern in defaults.DERIVED if tuple(pattern.split(".")[:-1]) == at}
    left_out |= {"name"} if ".".join(at[:-1]) in defaults.NAMED else set()
    written = {key: _written(inner, definitions, (*at, key)) for key, inner in node["properties"].items()}
    if "name" in left_out:
        del written["name"]
    required = [key for key in node.get("required", ()) if key not in left_out]
    node = {key: value for key, value in node.items() if key != "required"} | {"properties": written}
    return node | ({"required": required} if required else {})
