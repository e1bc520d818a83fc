"""What holds for every plan that any task can make."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from fabfile.inventory import Backup, Site
from fabfile.plans.plan import Action, NothingToUndo, Plan, Step, Undo, as_json, contents, identified, judge
from fabfile.runner import actions  # noqa: F401  it names every action
from fabfile.runner.wire import codec
from fabfile.runner.wire.codec import decode
from fabfile.runner.wire.facts import Facts
from tests.plans.catalogue import PLANS
from tests.runner.support.commands import Run

EVERY = pytest.mark.parametrize("name", PLANS)
SURVEYS = ("fresh", "docker_serves", "native_serves")


@pytest.fixture(params=SURVEYS)
def facts(request: pytest.FixtureRequest) -> Facts:
    found: Facts = request.getfixturevalue(request.param)
    return found


@EVERY
def test_every_step_that_changes_something_has_a_way_back_or_says_why_not(name: str, site: Site, facts: Facts) -> None:
    for step in PLANS[name](site, facts).steps:
        if isinstance(step.undo, NothingToUndo):
            assert len(step.undo.why.split()) >= 4, f"{step.name}: {step.undo.why!r} is no reason"
        else:
            assert type(step.action).undo is not Action.undo


@EVERY
def test_steps_have_names_of_their_own_that_say_whose_they_are(name: str, site: Site, facts: Facts) -> None:
    plan = identified(PLANS[name](site, facts))
    for step in plan.steps:
        room, colon, what = step.name.partition(": ")
        assert room in ("infra", "app", "docker", "firewall", "data", "edge") and colon and what.strip() == what
        assert step.action.describe() and all(probe.describe() for probe in step.verify)
        assert step.deadline > 0
    assert plan.id.split("-")[1] == plan.name.split(".")[0].split("-")[0]
    assert "@" in plan.who


@EVERY
def test_a_plan_is_data_and_arrives_as_it_left(name: str, site: Site, facts: Facts) -> None:
    plan = PLANS[name](site, facts)
    assert decode(json.loads(json.dumps(as_json(plan)))) == plan


@EVERY
def test_commands_are_lists_of_words_and_no_shell_is_asked(name: str, site: Site, facts: Facts) -> None:
    for argv in _argvs(PLANS[name](site, facts)):
        assert isinstance(argv, tuple)
        assert argv and all(isinstance(word, str) and word for word in argv)
        assert argv[0].split("/")[-1] not in ("sh", "bash", "dash", "env", "eval")
        assert not any(set(word) & set(";|&`$\n") for word in argv), argv


@EVERY
def test_what_a_plan_writes_travels_with_it_under_its_own_hash(name: str, site: Site, facts: Facts) -> None:
    plan = PLANS[name](site, facts)
    for sha256, content in contents(plan).items():
        assert hashlib.sha256(content).hexdigest() == sha256
        assert content, "no file that we write is empty"
    assert "content" not in json.dumps(as_json(plan)), "contents travel beside the plan"


@EVERY
def test_a_step_never_fails_to_judge_a_survey(name: str, site: Site, facts: Facts) -> None:
    plan = PLANS[name](site, facts)
    reasons = judge(plan, facts).no_ops
    assert set(reasons) <= {step.name for step in plan.steps}
    assert all(reasons.values())
    for step in plan.steps:
        if step.name not in reasons:
            json.dumps(step.action.snapshot(facts))


def test_every_action_is_in_some_plan(site: Site, fresh: Facts, native_serves: Facts) -> None:
    """An action that no plan has is dead, or its way back was never looked at."""
    own = site.model_copy(update={"backup": Backup(hook="/usr/local/sbin/save")})
    used = {
        type(step.action)
        for build in PLANS.values()
        for facts in (fresh, native_serves)
        for step in build(own, facts).steps
    }
    shipped = {
        cls for cls in codec._types.values() if issubclass(cls, Action) and cls.__module__.startswith("fabfile.")
    }
    assert shipped <= used


def test_the_same_name_twice_is_refused() -> None:
    step = Step("a", Run(("true",)), NothingToUndo("changes nothing at all here"))
    with pytest.raises(ValueError, match="names these steps twice: a"):
        identified(Plan("x", (step, step)))


def test_two_plans_never_share_an_identifier() -> None:
    assert len({identified(Plan("a.b", ())).id for _ in range(50)}) == 50


DONE = {
    "fresh": (),
    "docker_serves": (
        "rollback --full",
        "docker.up full",
        "docker.up web",
        "npm.switch docker",
        "npm.restore",
        "docker.render",
    ),
    "native_serves": (
        "cutover full",
        "cutover web",
        "cutover workers",
        "infra.bootstrap",
        "infra.start",
        "app.start full",
        "app.install full",
        "npm.switch native",
        "docker.stop full",
        "infra.install",
    ),
}


@pytest.mark.parametrize(("survey", "name"), [(survey, name) for survey, names in DONE.items() for name in names])
def test_what_is_so_already_changes_nothing(survey: str, name: str, site: Site, request: pytest.FixtureRequest) -> None:
    facts: Facts = request.getfixturevalue(survey)
    plan = PLANS[name](site, facts)
    left = {step.name for step in plan.steps} - set(judge(plan, facts).no_ops)
    assert not left
    assert not judge(plan, facts).changes


@pytest.mark.parametrize(
    "name", ["cutover full", "rollback --full", "docker.stop full", "docker.up full", "app.stop full"]
)
def test_what_cannot_be_asked_is_never_taken_for_done(
    name: str, site: Site, docker_serves: Facts, native_serves: Facts
) -> None:
    facts = docker_serves if name.startswith(("rollback", "docker.up")) else native_serves
    mute = dataclasses.replace(
        facts,
        user_manager="the user manager of delta does not answer",
        user_units={},
        docker_error="Docker does not answer",
        containers={},
    )
    assert judge(PLANS[name](site, mute), mute).changes


def _argvs(value: Any) -> Iterator[Any]:
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            if field.name == "argv":
                yield inner
            yield from _argvs(inner)
    elif isinstance(value, tuple):
        for item in value:
            yield from _argvs(item)


def test_the_walk_finds_a_plans_commands() -> None:
    steps = Step("a", Run(("true",)), Undo()), Step("b", Run(("false",)), Undo())
    assert list(_argvs(Plan("x", steps))) == [("true",), ("false",)]
