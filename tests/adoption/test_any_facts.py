"""Whatever strings the facts hold, what is written is TOML that loads, or asks."""

from __future__ import annotations

import copy
import dataclasses
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabfile.adoption import drafting, toml
from fabfile.adoption.drafting import Login
from fabfile.adoption.scene import Choice
from fabfile.errors import InventoryError
from fabfile.inventory import Site, load
from fabfile.runner.wire.adoption import Adoption
from tests.adoption import vps
from tests.support import inventories

LOGIN = Login("192.0.2.7", "delta")
TEXTS = st.text(max_size=12) | st.sampled_from(
    ['"', "'''", "a\nb", "ü—", "# no", "{x}", "?: why", "?", "\x7f", "\\", "[a]", "=", "\ud800", "  ", "-", "x" * 300]
)


def garbled(value: Any, chance: random.Random, texts: list[str]) -> Any:
    """The same facts with some of their texts replaced, keys as well."""
    if isinstance(value, str):
        return chance.choice(texts) if chance.random() < 0.15 else value
    if isinstance(value, tuple):
        return tuple(garbled(item, chance, texts) for item in value)
    if isinstance(value, dict):
        return {garbled(key, chance, texts): garbled(item, chance, texts) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        specs = dataclasses.fields(value)
        return type(value)(**{spec.name: garbled(getattr(value, spec.name), chance, texts) for spec in specs})
    return value


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return inventories.site(tmp_path_factory.mktemp("site"))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), texts=st.lists(TEXTS, min_size=1, max_size=8), known=st.booleans())
def test_any_facts_become_toml_that_loads_or_asks(
    site: Site, seed: int, texts: list[str], known: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project, clean = site.runtimes.docker.project, vps.vps(site)
    facts: Adoption = garbled(clean, random.Random(seed), texts)
    own = garbled(clean.projects[project], random.Random(seed + 1), texts)
    facts = dataclasses.replace(facts, projects={project: own})
    shipped = copy.deepcopy(inventories.WRITTEN) if known else {}

    draft, scene = drafting.drafted(facts, shipped, LOGIN, Choice(project=project))
    text = drafting.text(drafting.settled(draft), scene, LOGIN)

    tomllib.loads(text)
    file = tmp_path_factory.mktemp("any") / "inventory.toml"
    file.write_text(text, encoding="utf-8")
    try:
        load(file, {})
    except InventoryError as error:
        assert [problem for problem in error.problems if "not answered yet" not in problem] == []


@given(st.text())
def test_any_text_comes_back_from_toml(text: str) -> None:
    assert tomllib.loads(f"{toml.key([text])} = {toml.value([text])}") == {text: [text]}


@given(st.text())
def test_any_text_may_stand_in_a_comment(text: str) -> None:
    assert tomllib.loads(f"a = 1 # {toml.comment(text)}\nb = 2") == {"a": 1, "b": 2}


def test_half_a_surrogate_pair_becomes_a_replacement(tmp_path: Path) -> None:
    assert toml.string("a\ud800b") == '"a\ufffdb"'
