"""Which inventory a command reads."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from fabfile import resources
from fabfile.commands.locate import inventory_file
from fabfile.errors import InventoryError, UsageError
from tests.support.entry_points import islandflow
from tests.support.inventories import INVENTORY

ANSIBLE = '[all.hosts]\n"web.example" = {}\n[webservers.hosts]\n"web.example" = {}\n'


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool as a wheel brings it: no checkout's own inventory stands behind the search."""
    monkeypatch.setattr(resources, "IN_CHECKOUT", False)
    monkeypatch.delenv("ISLANDFLOW_INVENTORY")


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    folder = tmp_path / "one" / "two"
    folder.mkdir(parents=True)
    return folder


def planted(folder: Path, text: str | None = None) -> Path:
    file = folder / "inventory.toml"
    file.write_text(INVENTORY.read_text() if text is None else text)
    return file


def test_the_one_that_is_named_wins_though_it_is_not_there(deep: Path) -> None:
    planted(deep)
    assert inventory_file({"ISLANDFLOW_INVENTORY": "mine.toml"}, deep) == Path("mine.toml")


@pytest.mark.parametrize("env", [{}, {"ISLANDFLOW_INVENTORY": ""}])
def test_the_nearest_is_taken_where_none_is_named(env: dict[str, str], deep: Path, tmp_path: Path) -> None:
    far = planted(tmp_path)
    assert inventory_file(env, deep) == far
    near = planted(deep.parent)
    assert inventory_file(env, deep) == near
    own = planted(deep)
    assert inventory_file(env, deep) == own


@pytest.mark.parametrize("trusted", ["root's", "one's own", "one's own under sudo"])
def test_the_nearest_is_refused_where_another_user_wrote_it(
    trusted: str, deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may write into /tmp, and what an inventory names runs as root."""
    file = planted(tmp_path)
    owner = 0 if trusted == "root's" else 4711
    monkeypatch.setattr(Path, "stat", lambda path, **_: SimpleNamespace(st_uid=owner if path == file else 0))
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4711 if trusted == "one's own" else 1000)
    if trusted == "one's own under sudo":
        with pytest.raises(InventoryError, match=r"belongs to another user \(uid 4711\)"):
            inventory_file({}, deep)
        monkeypatch.setenv("SUDO_UID", "4711")
    assert inventory_file({}, deep) == file
    assert inventory_file({"ISLANDFLOW_INVENTORY": str(file)}, deep) == file


def test_a_folder_of_that_name_is_passed_by(deep: Path, tmp_path: Path) -> None:
    (deep / "inventory.toml").mkdir()
    far = planted(tmp_path)
    assert inventory_file({}, deep) == far


def test_a_checkouts_own_comes_last(deep: Path) -> None:
    assert inventory_file({}, deep) == resources.INVENTORY


def test_where_none_is_found_the_error_says_where_it_looked_and_what_to_do(
    installed: None, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(deep)
    run = islandflow("status")
    assert run.code == 2
    for part in ("-i", "ISLANDFLOW_INVENTORY", f"no inventory.toml in {deep}", "islandflow init --host"):
        assert part in run.err


def test_a_working_directory_that_is_gone_is_told(installed: None, deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(deep)
    deep.rmdir()
    with pytest.raises(UsageError, match="the working directory is gone"):
        inventory_file({})


@pytest.mark.parametrize("text", [ANSIBLE, "", "[hosts]\n"])
def test_another_tools_file_is_an_error_that_names_it(text: str, deep: Path, tmp_path: Path) -> None:
    file = planted(tmp_path, text)
    with pytest.raises(InventoryError, match="not an inventory of islandflow") as caught:
        inventory_file({}, deep)
    assert caught.value.source == str(file) and len(caught.value.problems) == 1
    assert "-i FILE or ISLANDFLOW_INVENTORY" in caught.value.problems[0]


@pytest.mark.parametrize("text", ["all:\n  hosts:\n", "[all]\nweb.example ansible_user=delta\n"])
def test_a_file_that_is_not_toml_is_named_too(
    text: str, deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = planted(tmp_path, text)
    monkeypatch.delenv("ISLANDFLOW_INVENTORY")
    monkeypatch.chdir(deep)
    run = islandflow("status")
    assert run.code == 2 and f"{file} has an error" in run.err and "is not TOML" in run.err
