"""Plans add up, and know what they hold."""

from __future__ import annotations

import dataclasses
import re

import pytest

from fabfile import survey
from fabfile.plans.plan import NothingToUndo, Plan, Step, Undo, contents, files, identified, judge
from fabfile.runner.actions.data import SetOwner
from fabfile.runner.actions.files import File, Files
from fabfile.runner.actions.units import Start
from fabfile.runner.wire.facts import Facts, FactsRequest, FileFact

OWNER = SetOwner("/o", "native")
A, B = (File(f"/etc/{name}", name * 64, content=name.encode()) for name in "ab")


def steps(*names: str) -> tuple[Step, ...]:
    return tuple(Step(name, OWNER, Undo()) for name in names)


def test_an_identifier_sorts_by_time_and_names_the_plan() -> None:
    plan = identified(Plan("infra.bootstrap", steps("a")))
    assert re.fullmatch(r"\d{8}T\d{6}-infra-bootstrap-[0-9a-f]{6}", plan.id)
    assert dataclasses.replace(plan, id="", who="") == Plan("infra.bootstrap", steps("a"))


def test_steps_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="these steps twice: a, c"):
        identified(Plan("x", steps("a", "b", "c", "a", "c")))


def test_a_no_op_is_named_with_its_reason() -> None:
    plan = Plan("x", (*steps("a"), Step("b", Start(("u",)), NothingToUndo("none is needed here"))))
    facts = Facts(owner="native")
    assert judge(plan, facts).no_ops == {"a": "the owner is native"}
    assert judge(plan, facts).changes
    assert not judge(Plan("x", steps("a")), facts).changes
    assert not judge(Plan("x", ()), Facts()).changes


def test_what_cannot_be_told_is_no_no_op() -> None:
    facts = Facts(owner="native", owner_error="it holds nonsense")
    assert judge(Plan("x", steps("a")), facts).no_ops == {}


def test_every_file_is_found_wherever_it_is() -> None:
    plan = Plan("x", (Step("a", Files((A, B)), Undo()), Step("b", Files((A,)), Undo())))
    assert files(plan) == [A, B, A]
    assert contents(plan) == {"a" * 64: b"a", "b" * 64: b"b"}


@pytest.mark.parametrize(
    ("fact", "difference"),
    [
        (None, "missing"),
        (FileFact(A.path, "missing"), "missing"),
        (FileFact(A.path, "directory"), "directory"),
        (FileFact(A.path, "unreadable"), "unreadable"),
        (FileFact(A.path, "file", 0o644, "root", "root", "x"), "contents"),
        (FileFact(A.path, "file", 0o600, "root", "root", A.sha256), "root:root 600"),
        (FileFact(A.path, "file", 0o644, "delta", "root", A.sha256), "delta:root 644"),
        (FileFact(A.path, "file", 0o644, "root", "root", A.sha256), ""),
    ],
)
def test_what_is_different_about_a_file(fact: FileFact | None, difference: str) -> None:
    assert A.differs(fact) == difference
    facts = Facts(files={A.path: fact} if fact else {})
    assert bool(Files((A,)).noop_reason(facts)) == (difference == "")


def test_two_requests_become_one() -> None:
    both = survey.merge(
        FactsRequest(units=("a", "b"), user="x", patience=1.0), FactsRequest(units=("b", "c"), user="y", firewall=True)
    )
    assert both == FactsRequest(units=("a", "b", "c"), user="y", patience=1.0, firewall=True)
