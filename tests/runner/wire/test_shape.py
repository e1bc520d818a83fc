"""What comes as JSON is held against the declared types before anybody reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fabfile.runner.system.inspected import inspected
from fabfile.runner.wire import shape
from fabfile.runner.wire.codec import decode, decode_as, encode
from fabfile.runner.wire.edge import EdgeNetwork
from fabfile.runner.wire.facts import Container, Health, Unit
from fabfile.runner.wire.plan import NothingToUndo, Plan, Step
from tests.runner.support.bricks import Brick

CONTAINER = Container(
    "web", "web-1", "id", "running", "", 0, 7, "", "web:1", "10.0.0.2", {"3000/tcp": "127.0.0.1:3000"}
)
PLAN = Plan("test", (Step("one", Brick("/x", "a"), NothingToUndo("a reason")),), exposures={"a": 1.5})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"restarts": "0"}, "restarts is no int: '0'"),
        ({"restarts": True}, "restarts is no int: True"),
        ({"name": None}, "name is no str: None"),
        ({"published": {"3000/tcp": 1}}, "published.3000/tcp is no str: 1"),
        ({"published": []}, "published is no table: []"),
        ({"files": ["a"]}, "files is no list: ['a']"),
        ({"files": ("a", 1)}, "files.[1] is no str: 1"),
    ],
)
def test_another_type_is_named_by_its_place(change: dict[str, Any], problem: str) -> None:
    assert shape.misfit(replace(CONTAINER, **change), Container) == problem
    assert shape.misfit(CONTAINER, Container) == ""


def test_one_of_some_texts_may_be_no_other() -> None:
    assert shape.misfit(Health("web", "native", True, ""), Health) == ""
    assert "runtime" in shape.misfit(replace(Health("web", "native", True, ""), runtime="podman"), Health)  # type: ignore[arg-type]


def test_a_number_of_seconds_may_be_whole() -> None:
    assert decode(encode(replace(PLAN, confirm_within=5))) == PLAN.__class__(**{**vars(PLAN), "confirm_within": 5})


@pytest.mark.parametrize(
    "value", [{"name": 5}, {"steps": [1]}, {"steps": [{"type": "Unit"}]}, {"exposures": {"a": "b"}}]
)
def test_a_dataclass_of_other_types_does_not_arrive(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="another version's"):
        decode({**encode(PLAN), **value})


@pytest.mark.parametrize(
    "data", [None, 5, [], {}, encode(EdgeNetwork()), {"type": ["Unit"]}, {"type": "plain", "items": 1}]
)
def test_something_else_than_what_must_be_there_is_refused(data: Any) -> None:
    with pytest.raises(ValueError):
        decode_as(Unit, data)


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", "1e999", "[" * 50_000, '{"a":' * 50_000, b"\xff", "\ufeff1"]
)
def test_whatever_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        shape.parse(text)


def test_a_container_of_docker_may_lack_or_have_null_for_much() -> None:
    bare = '[{"Config": {"Labels": null, "Other": 5}, "State": {"Health": null}, "NetworkSettings": {"Ports": null}}]'
    (item,) = inspected(bare)
    assert item["Config"]["Labels"] is None
    assert inspected("") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "it is no list"),
        ("[5]", "of a container is no table: 5"),
        ('[{"Config": {}, "State": {}}]', "of a container NetworkSettings is missing"),
        (
            '[{"Config": {"Env": "A=1"}, "State": {}, "NetworkSettings": {}}]',
            "of a container Config.Env is no list: 'A=1'",
        ),
        ('[{"Config": {}, "State": {"Pid": "7"}, "NetworkSettings": {}}]', "of a container State.Pid is no int: '7'"),
    ],
)
def test_what_docker_never_prints_of_a_container_is_named(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        inspected(text)
    assert str(caught.value) == problem
