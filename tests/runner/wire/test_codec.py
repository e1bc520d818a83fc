"""Plans and facts travel as JSON and arrive as they were."""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabfile.runner import actions, recovery  # noqa: F401  they name the types that travel
from fabfile.runner.actions.base import Action, Probe
from fabfile.runner.adoption import gather  # noqa: F401
from fabfile.runner.soak import verbs  # noqa: F401
from fabfile.runner.wire import codec
from fabfile.runner.wire.codec import decode, encode, wire
from fabfile.runner.wire.edge import Upstream
from fabfile.runner.wire.facts import Facts, Workload
from fabfile.runner.wire.plan import Plan, Step, Undo

SHIPPED = [cls for cls in codec._types.values() if cls.__module__.startswith("fabfile.")]


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of an annotation that the types that travel use."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return st.lists(values(parts[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(max_size=3), values(parts[1]), max_size=2)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(part) for part in parts])
    if origin is typing.Literal:
        return st.sampled_from(parts)
    if hint in (Action, Probe):
        return st.one_of([instances(typing.cast(Any, cls)) for cls in SHIPPED if issubclass(cls, hint)])
    if dataclasses.is_dataclass(hint):
        return instances(typing.cast(Any, hint))
    return PLAIN[hint]


PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=4),
    int: st.integers(),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    bytes: st.binary(max_size=4),
    type(None): st.none(),
    Any: st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4)),
}


@functools.cache
def instances(cls: Any) -> st.SearchStrategy[Any]:
    """Any instance of a type that travels."""

    def built() -> st.SearchStrategy[Any]:
        hints = typing.get_type_hints(cls, localns={"Action": Action, "Probe": Probe})
        fields = {field.name: values(hints[field.name]) for field in dataclasses.fields(cls)}
        if cls is Upstream:
            fields = {"host": st.just("web"), "port": st.integers(1, 65535)}
        return st.builds(cls, **fields)

    return st.deferred(built)


def travelled(value: Any) -> Any:
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize("cls", SHIPPED, ids=lambda cls: cls.__name__)
def test_every_type_that_travels_arrives_as_it_was(cls: type) -> None:
    @settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
    @given(instances(cls))
    def check(value: Any) -> None:
        assert travelled(value) == value

    check()


@given(st.dictionaries(st.sampled_from(["type", "items", "plain", "x"]), st.sampled_from(["plain", "Plan", ""])))
def test_dictionaries_may_have_any_keys(names: dict[str, str]) -> None:
    facts = Facts(projects=names, accounts={"type": "Plan"}, user_manager="plain")
    assert travelled(facts) == facts


def test_lists_become_tuples() -> None:
    assert travelled({"a": [1, [2]]}) == {"a": (1, (2,))}


@pytest.mark.parametrize(
    "data",
    [{"type": "Nonsense"}, {"type": "Workload"}, {"type": "Workload", "name": "a", "runtime": "b", "colour": "red"}],
)
def test_another_versions_types_are_refused_as_such(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="another version"):
        decode(data)


def test_two_types_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="two wire types"):
        wire(type("Workload", (), {}))
    assert codec._types["Workload"] is Workload


def test_every_action_and_probe_can_travel() -> None:
    """One that forgot its decorator would fail on the VPS only."""

    def below(base: type) -> set[type]:
        found: set[type] = set(base.__subclasses__())
        return found.union(*(below(cls) for cls in found))

    ours = {cls for cls in below(Action) | below(Probe) if cls.__module__.startswith("fabfile.")}
    made = {cls for cls in ours if not cls.__subclasses__()}  # what others are kinds of is never made itself
    assert {cls for cls in made if not cls.__name__.startswith("_")} <= set(SHIPPED)
    assert {Plan, Step, Undo} <= set(SHIPPED)
