"""Writes docs/inventory.md and docs/inventory.schema.json from the inventory's models: python -m docs.reference"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from docs import schema
from docs.schema import Schema
from fabfile.inventory import defaults, placeholders, variables

FOLDER: Final = Path(__file__).parent
HEAD: Final = """\
# The inventory

Every key of `inventory.toml`. This page and `docs/inventory.schema.json` are made of the models in `fabfile/inventory/`
(`make docs`), and a test compares them.

`inv init` writes an inventory from your VPS, `inv doctor` compares one with it, and each command reports all errors of
the file at once, each with its path (`services.api.port`). [adopting.md](adopting.md) has the whole way.

**Editors.** The first line of an inventory names the schema: `#:schema` and its place. With it taplo, and so Even
Better TOML in VS Code, completes keys, shows what they mean, and marks what does not fit. What no single value can say
(two services with the same port) only the commands report. If your editor marks the first line itself, the tool has
moved since `inv init` wrote it: correct the place, or delete the line.

**Questions.** `inv init` writes a text that begins with `?` where it could not find a value. Each command lists those
that are left, and does nothing before they are answered.

**Secrets.** The inventory is no place for them: what stands there ends up in plain files.

**Older tools.** With `min_version = "0.2.0"` a tool older than 0.2.0 refuses the file with exit code 2, says which
version is needed and how to upgrade. Set it when you use a key that an older version of the tool does not know, and
colleagues share the file. It compares numbers alone: of 0.2.0rc1 it reads 0.2.0.

**Required** means that the file needs the key; in a table that may be left out, only where the table is there.
"""
PLACEHOLDERS: Final = """\
## Placeholders

`services.*.argv` and the overrides of both runtimes may hold these words in braces. They are replaced by what the
runtime at hand has there: natively `nats_url` is an address on 127.0.0.1, in Docker the container's name. Other braces
are ordinary text.
"""
VARIABLES: Final = """\
## Environment variables

These win over the file if they are set and not empty.
"""


def page() -> str:
    """docs/inventory.md."""
    whole = schema.inventory()
    known = ", ".join(f"`{{{name}}}`" for name in placeholders.SHARED)
    own = ", ".join(f"`{{{name}}}`" for name in placeholders.OWN if name not in placeholders.SHARED)
    won = [f"| `{name}` | `{key}` |" for name, key in variables.PLACES.items()]
    lines = [
        HEAD,
        *_tables("", "", whole),
        PLACEHOLDERS,
        f"Everywhere: {known}. In the `argv` of a service with a port, also {own}.\n",
        VARIABLES,
        "| variable | key |",
        "| --- | --- |",
        *won,
    ]
    return "\n".join(lines) + "\n"


def _tables(title: str, at: str, table: Schema) -> Iterator[str]:
    """A table's section, and those of the tables in it."""
    inner = {key: value for key, value in table["properties"].items() if table_of(value)}
    plain = {key: value for key, value in table["properties"].items() if key not in inner}
    if plain:
        yield f"## `[{title}]`\n" if title else "## Above the first table\n"
        if title:
            yield f"{table['description']}\n"
        yield from ("| key | type | default | meaning |", "| --- | --- | --- | --- |")
        required = table.get("required", ())
        for key, value in plain.items():
            default = "required" if key in required else _default(".".join(filter(None, (at, key))), value)
            yield f"| `{key}` | {_cell(_type(value))} | {default} | {_cell(value['description'])} |"
        yield ""
    for key, value in inner.items():
        below, entry = table_of(value), value.get("additionalProperties")
        names = (title, key, "NAME") if entry else (title, key)
        keys = (at, key, "*") if entry else (at, key)
        yield from _tables(".".join(filter(None, names)), ".".join(filter(None, keys)), below)


def table_of(value: Schema) -> Schema:
    """The table that a value is, or that each of its entries is; empty for a plain value."""
    if "properties" in value:
        return value
    entries = value.get("additionalProperties")
    return entries if isinstance(entries, dict) and "properties" in entries else {}


def _type(value: Schema) -> str:
    """The type in words."""
    if "enum" in value:
        return " or ".join(f'`"{choice}"`' for choice in value["enum"])
    if value["type"] == "array":
        return f"list: {_type(value['items'])}"
    if value["type"] == "object":
        return f"table: {_type(value['additionalProperties'])} by name"
    plain = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return str(value.get("title", plain[value["type"]]))


def _default(pattern: str, value: Schema) -> str:
    if pattern in defaults.DERIVED:
        return f"`{defaults.DERIVED[pattern]}`"
    if "default" not in value:
        return "none"
    given = value["default"]
    return f"`{given:g}`" if isinstance(given, float) else f"`{json.dumps(given)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def files() -> dict[Path, str]:
    """The files that are made from the models, and what each holds."""
    text = json.dumps(schema.inventory(), indent=2, ensure_ascii=False) + "\n"
    return {FOLDER / "inventory.md": page(), FOLDER / "inventory.schema.json": text}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
