"""Which hosts the options name: what can't be meant is one error, before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fabfile.commands import session
from fabfile.commands.hosts import choice
from fabfile.commands.hosts.choice import Choice
from tests.support.entry_points import DOORS, Run, fab, islandflow
from tests.support.inventories import changed, toml

HOST = {"address": "127.0.0.1", "port": 1, "user": "delta"}
HOSTS = {
    "a": {**HOST, "tags": ["eu"]},
    "b": {**HOST, "port": 2, "tags": ["eu", "spare"]},
    "c": {**HOST, "port": 3},
}
both_doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


@pytest.fixture(autouse=True)
def three_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "three.toml"
    file.write_text(toml(changed({"hosts": HOSTS, "default_host": "a"})))
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(file))


def looks(c: object, host: str = "") -> None: ...


def changes(c: object, host: str = "", dry: bool = False) -> None: ...


def chosen(function: Callable[..., None] = looks, host: str = "", **options: bool | str) -> Choice | None:
    arguments = {"host": host, **({"dry": options.pop("dry", False)} if function is changes else {})}
    return choice.several(object(), function, arguments, {**choice.OPTIONS, **options})


@pytest.mark.parametrize(
    ("host", "options", "names"),
    [
        ("b,a", {}, "b a"),
        (" c , a,c", {}, "c a"),
        ("", {"all": True}, "a b c"),
        ("", {"tag": "eu"}, "a b"),
        ("", {"tag": "spare"}, "b"),
        ("", {"tag": "spare,eu"}, "a b"),
    ],
)
def test_hosts_are_chosen_by_name_in_that_order_or_by_tag_in_the_inventorys(
    host: str, options: dict[str, bool | str], names: str
) -> None:
    found = chosen(looks, host, **options)
    assert found is not None and list(found.hosts) == names.split()


@pytest.mark.parametrize("host", ["", "a"])
def test_one_host_is_no_choice_of_several(host: str) -> None:
    assert chosen(host=host) is None
    assert chosen(host=host, parallel="2", no_fail_fast=True) is None


def test_what_looks_looks_at_all_at_a_time_and_what_changes_one_after_the_other() -> None:
    assert chosen(all=True) == Choice(("a", "b", "c"), 3, fail_fast=False)
    assert chosen(changes, all=True) == Choice(("a", "b", "c"), 1, fail_fast=True)
    assert chosen(changes, all=True, dry=True) == Choice(("a", "b", "c"), 3, fail_fast=False)
    assert chosen(changes, all=True, parallel="2", no_fail_fast=True) == Choice(("a", "b", "c"), 2, fail_fast=False)


BAD = {
    "-H a,nobody": 'unknown host "nobody"',
    "-H a,,b": "--host a,,b has an empty name in it",
    "-H ,": "--host , has an empty name in it",
    "-H a --all": "--host and --all exclude each other",
    "-H a,b --tag eu": "--host and --tag exclude each other",
    "--all --tag eu": "--all and --tag exclude each other",
    "--tag us": 'no host has the tag "us"',
    "--tag eu,us": 'no host has the tag "us"',
    "--all --parallel 0": "--parallel 0 is no number of hosts",
    "--all --parallel two": "--parallel two is no number of hosts",
    "-H a --parallel -1": "--parallel has no value: -1 stands in its place",
}


@both_doors
@pytest.mark.parametrize("words", BAD)
def test_what_can_not_be_meant_is_one_error(
    words: str, door: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "select_host", lambda *_: pytest.fail("no host is touched"))
    run = door("status", *words.split())
    assert run.code == 2
    assert run.err.startswith(f"Error: {BAD[words]}\n") and run.err.count("Error:") == 1
    assert "Next:" in run.err and not run.out


def test_an_inventory_without_tags_says_where_to_put_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "one.toml"
    file.write_text(toml(changed({})))
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(file))
    run = islandflow("status", "--tag", "eu")
    assert run.code == 2
    assert 'no host has the tag "eu", nor any other' in run.err and 'tags = ["eu"] below [hosts.NAME]' in run.err


@pytest.mark.parametrize("words", [("--all",), ("--host", "a,b")])
def test_fabric_has_chosen_already(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "select_host", lambda *_: pytest.fail("no host is touched"))
    run = fab("-H", "127.0.0.1", "status", *words)
    assert run.code == 2
    assert f"fab -H chooses the hosts already, and so does {words[0]}" in run.err


@pytest.mark.parametrize("task", ["init", "record"])
def test_a_task_of_this_machine_has_none_of_the_options(task: str) -> None:
    said = islandflow(task, "--help").out
    assert "--all" not in said and "--parallel" not in said
