"""The inventory, whatever comes: a site, or an InventoryError that names what is wrong."""

from __future__ import annotations

import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabfile.errors import InventoryError
from fabfile.inventory import Site, load, paths
from tests.support import fuzz
from tests.support.inventories import INVENTORY, SHIPPED, WRITTEN, changed, leaves, toml

FUZZ = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    st.one_of(
        TEXTS,
        st.integers(),
        st.booleans(),
        st.floats(),
        st.dates(min_value=datetime.date(1900, 1, 1)),
        st.sampled_from(["a b", "/..", "/a\nb", "%n", "$HOME", "bridge", "x.service", "", "/"]),
    ),
    lambda children: st.one_of(st.lists(children, max_size=3), st.dictionaries(TEXTS, children, max_size=3)),
    max_leaves=5,
)


@FUZZ
@given(changes=st.dictionaries(st.sampled_from(leaves(WRITTEN)), VALUES, min_size=1, max_size=4))
def test_random_values_give_a_site_or_an_inventory_error(tmp_path: Path, changes: dict[paths.Path, Any]) -> None:
    file = tmp_path / "inventory.toml"
    file.write_text(toml(_without_nested(changes)), encoding="utf-8")
    try:
        assert isinstance(load(file, {}), Site)
    except InventoryError as error:
        assert error.problems and all(": " in line and "\n" not in line for line in error.problems)


@FUZZ
@given(path=st.sampled_from(leaves(WRITTEN)))
def test_a_value_of_a_wrong_type_is_always_named(tmp_path: Path, path: paths.Path) -> None:
    file = tmp_path / "inventory.toml"
    file.write_text(toml(changed({path: datetime.date(2024, 1, 2)})), encoding="utf-8")
    with pytest.raises(InventoryError) as caught:
        load(file, {})
    assert any(line.startswith(paths.spell(path) + ": 2024-01-02 is ") for line in caught.value.problems)


@FUZZ
@given(
    table=st.sampled_from(["", "app", "hosts.vps", "runtimes.docker", "infra.redis", "edge", "dns", "dns.records.app"]),
    key=TEXTS,
)
def test_an_unknown_key_is_always_named(tmp_path: Path, table: str, key: str) -> None:
    path: paths.Path = (*(paths.split(table) if table else ()), key)
    known = paths.get(load(INVENTORY, {}).model_dump(), path[:-1])
    if key in known and key != "name":
        return
    file = tmp_path / "inventory.toml"
    file.write_text(toml(changed({path: 1})), encoding="utf-8")
    with pytest.raises(InventoryError) as caught:
        load(file, {})
    assert any(line.startswith(f"{paths.spell(path)}: ") for line in caught.value.problems)


@FUZZ
@given(content=st.one_of(st.binary(), TEXTS.map(str.encode)))
def test_random_files_are_refused_politely(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "inventory.toml"
    file.write_bytes(content)
    with pytest.raises(InventoryError):
        load(file, {})


@pytest.mark.parametrize("source", [INVENTORY, SHIPPED], ids=["tests", "shipped"])
def test_a_damaged_file_gives_a_site_or_is_refused_politely(tmp_path: Path, source: Path) -> None:
    file, whole = tmp_path / "inventory.toml", source.read_bytes()

    def act(chance: Random) -> None:
        file.write_bytes(fuzz.damaged(chance, whole))
        assert isinstance(load(file, {}), Site)

    fuzz.search(act, InventoryError)


def test_other_types_at_any_depth_give_a_site_or_are_refused_politely(tmp_path: Path) -> None:
    file = tmp_path / "inventory.toml"

    def act(chance: Random) -> None:
        file.write_text(toml(_of_toml(fuzz.swapped(chance, WRITTEN))), encoding="utf-8")
        assert isinstance(load(file, {}), Site)

    fuzz.search(act, InventoryError)


def _of_toml(value: Any) -> Any:
    """The value without what TOML has no form for."""
    if isinstance(value, dict):
        return {key: _of_toml(item) for key, item in value.items() if item is not None}
    return [_of_toml(item) for item in value if item is not None] if isinstance(value, list) else value


def _without_nested(changes: dict[paths.Path, Any]) -> dict[str, Any]:
    """Apply changes from the deepest path up, so that each still finds its place."""
    return changed(dict(sorted(changes.items(), key=lambda change: -len(change[0]))))
