"""docs/inventory.md and the schema for editors say what the models say."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs import reference, schema
from fabfile import resources
from fabfile.inventory import Host, defaults, fields, messages, paths, questions
from fabfile.lab.choices import Choices
from fabfile.lab.inventory import write_inventory
from tests.support.inventories import INVENTORY, REMOVED, SHIPPED, WRITTEN, changed
from tests.support.json_schema import misfits

COMMITTED = json.loads(resources.SCHEMA.read_text())
PAGE = (resources.SCHEMA.parent / "inventory.md").read_text()
TABLES = {("hosts", "vps"), ("services", "api"), ("infra", "nats"), ("edge",), ("public",), ("provider",)}


def values(node: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that the schema knows, with its schema."""
    for key, inner in node.get("properties", {}).items():
        path = f"{at}.{key}" if at else key
        yield path, inner
        yield from values(inner, path)
        if isinstance(inner.get("additionalProperties"), dict):
            yield from values(inner["additionalProperties"], f"{path}.*")


@pytest.mark.parametrize("path", reference.files(), ids=lambda path: path.name)
def test_the_committed_file_is_what_the_models_give(path: Path) -> None:
    """Otherwise: make docs"""
    assert path.read_text() == reference.files()[path]


def test_every_key_has_a_text_and_a_type() -> None:
    keys = dict(values(COMMITTED))
    assert len(keys) > 120 and {"infra.nats.monitor_port", "dns.records.*.ttl", "min_version"} <= keys.keys()
    assert [key for key, value in keys.items() if not value.get("description") or "type" not in value] == []


def test_the_page_has_every_key_that_is_no_table() -> None:
    keys = [key for key, value in values(COMMITTED) if not reference.table_of(value)]
    assert len(re.findall(r"^\| `[a-z_]+` \| .* \| .* \| .+ \|$", PAGE, re.MULTILINE)) == len(keys)


@pytest.mark.parametrize("table", sorted(TABLES), ids=paths.spell)
def test_an_entry_may_have_the_keys_that_the_program_names(table: paths.Path) -> None:
    """Those of messages.known_keys, which tell what may stand in a table where something else does."""
    node: Any = COMMITTED
    for key in table:
        node = node.get("properties", {}).get(key) or node["additionalProperties"]
    assert list(node["properties"]) == messages.known_keys(table)


# ── Inventories ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [SHIPPED, INVENTORY], ids=lambda path: path.name)
def test_an_inventory_of_the_repository_fits(path: Path) -> None:
    assert list(misfits(tomllib.loads(path.read_text()), COMMITTED)) == []


@pytest.mark.parametrize("choices", [Choices(), Choices(nats_monitoring=False)], ids=["lab", "without monitoring"])
def test_the_labs_inventory_fits(choices: Choices, tmp_path: Path) -> None:
    written = write_inventory(tmp_path, choices=choices)
    assert list(misfits(tomllib.loads(written.read_text()), COMMITTED)) == []


def test_what_follows_from_other_keys_may_be_left_out() -> None:
    """And nothing else may: those that `fill` adds are those that the schema does without."""
    followed = [key for key in defaults.DERIVED if "*" not in key and paths.get(WRITTEN, paths.split(key)) is not None]
    bare = changed(dict.fromkeys(followed, REMOVED))
    for service in bare["services"].values():
        service.pop("unit", None)
    assert list(misfits(bare, COMMITTED)) == []
    added = defaults.fill(copy.deepcopy(bare))
    known = {path: [key for key in defaults.DERIVED if paths.matches(path, key)] for path in added}
    assert all(known.values()) and {key for keys in known.values() for key in keys} == set(defaults.DERIVED)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"services.api.port": "4000"}, "services.api.port: type"),
        ({"services.api.port": 70_000}, "services.api.port: maximum"),
        ({"services.api.prot": 4000}, "services.api.prot: additionalProperties"),
        ({"services.api.name": "api"}, "services.api.name: additionalProperties"),
        ({"services.api.kind": REMOVED}, "services.api.kind: required"),
        ({"services.api.argv": []}, "services.api.argv: minItems"),
        ({"services.api.stop_signal": "SIGKILL"}, "services.api.stop_signal: enum"),
        ({"services.api.stop_timeout": 0}, "services.api.stop_timeout: exclusiveMinimum"),
        ({("services", "-api"): WRITTEN["services"]["compute"]}, "services.-api: propertyNames"),
        ({"edge.hold": 1}, "edge.hold: type"),
        ({"edge.hold_limit": 3}, "edge.hold_limit: minimum"),
        ({"app.checkout": "islandflow"}, "app.checkout: pattern"),
        ({"hosts.vps.key": "id_ed25519"}, "hosts.vps.key: pattern"),
        ({"app.user": "delta user"}, "app.user: pattern"),
        ({"infra.nats": REMOVED}, "infra.nats: required"),
        ({"min_version": "two"}, "min_version: pattern"),
        ({("runtimes", "native", "overrides", "A-B"): "x"}, "runtimes.native.overrides.A-B: propertyNames"),
        ({"services.api.port": questions.question("not seen")}, "services.api.port: type"),
    ],
)
def test_what_is_wrong_does_not_fit(changes: dict[Any, Any], wrong: str) -> None:
    assert list(misfits(changed(changes), COMMITTED)) == [wrong]


def test_it_needs_nothing_that_an_editor_may_lack() -> None:
    text = resources.SCHEMA.read_text()
    assert '"$ref"' not in text and '"null"' not in text and "draft-07" in COMMITTED["$schema"]


# ── The first line ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_shipped_inventory_names_the_schema_in_its_first_line() -> None:
    first = SHIPPED.read_text().splitlines()[0]
    place = first.removeprefix("#:schema ")
    assert place != first and (SHIPPED.parent / place).resolve() == resources.SCHEMA.resolve()


class Planted(Host):
    """A table for the next test."""

    silent: fields.Port
    loud: fields.Port
    """What it
    means."""


def test_texts_are_those_below_the_keys_and_those_of_the_bases() -> None:
    known = schema.texts(Planted)
    assert (
        "silent" not in known
        and known["loud"] == "What it means."
        and known["port"].startswith("Port of its SSH server.")
    )
