"""What a plan would do, for people: every step, and unified diffs of whatever it would write."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from fabfile.plans import decisive
from fabfile.plans.plan import Judgement, NothingToUndo, Step
from fabfile.runner.actions.edge_switch import EdgeAction
from fabfile.runner.actions.files import File, Files
from fabfile.runner.actions.settings import WriteSettings
from fabfile.runner.wire.facts import Facts


def lines(judgement: Judgement) -> Iterator[str]:
    """The plan, step by step; steps with nothing to do say why."""
    plan, reasons = judgement.plan, judgement.no_ops
    yield f"{plan.name}: {judgement.changes} of {len(plan.steps)} steps would change something"
    for number, step in enumerate(plan.steps, 1):
        if step.name in reasons:
            yield f"{number:3}. {step.name}: nothing to do, {reasons[step.name]}"
        else:
            yield f"{number:3}. {step.name}: {step.action.describe()}"
            yield from (f"       {line}" for line in _details(step, judgement.facts))
    if plan.confirm_within and judgement.changes:
        yield f"Then the public checks run from here; {decisive.words(plan)}."


def summary(judgement: Judgement, host: str) -> Iterator[str]:
    """What somebody must know who says whether a plan begins."""
    plan = judgement.plan
    yield f"{plan.name} on {host}: {judgement.changes} steps to do, {len(judgement.no_ops)} are in place already."
    if "commit" in plan.settings:
        yield f"{plan.settings['pieces']} get {plan.settings['commit'][:12]} ({plan.settings['ref']})."
    begin, end = (next((s.name for s in plan.steps if s.hold == which), "") for which in ("begins", "ends"))
    if begin and end and begin not in judgement.no_ops:
        yield f"Requests wait from “{begin}” to “{end}”, for at most {plan.hold_limit:g} s."
    yield "It reverts if any step fails."
    if plan.confirm_within:
        yield f"Then the public checks run from here; {decisive.words(plan)}."
    yield "The same command with --dry shows each step."


def _details(step: Step, facts: Facts) -> Iterator[str]:
    for probe in step.verify:
        yield f"then, within {step.deadline:g} s, {probe.describe()}"
    if isinstance(step.undo, NothingToUndo):
        yield f"no undo: {step.undo.why}"
    if isinstance(step.action, Files):
        for file in step.action.files:
            yield from _file_diff(file, facts)
    elif isinstance(step.action, WriteSettings) and facts.settings_file:
        yield f"{step.action.file.path}: {facts.settings_file.differs}"  # names, for its values are secret
    elif isinstance(step.action, EdgeAction):
        yield from _edge_diffs(step.action, facts)


def _file_diff(file: File, facts: Facts) -> Iterator[str]:
    fact = facts.files.get(file.path)
    problem = file.differs(fact)
    if not problem:
        return
    if problem not in ("missing", "contents"):
        yield f"{file.path}: {problem} becomes {file.owner}:{file.group} {file.mode:o}"
    before = (fact.text or "") if fact else ""
    yield from _diff(file.path, before, file.content.decode())


def _edge_diffs(action: EdgeAction, facts: Facts) -> Iterator[str]:
    problems = action.problems(facts)
    if problems:
        yield from (f"refused as things are: {problem}" for problem in problems)
        return
    for change in action.changes(facts):
        for title, before, after in change.diffs():
            yield from _diff(title, before, after)


def _diff(title: str, before: str, after: str) -> Iterator[str]:
    pair = before.splitlines(), after.splitlines()
    yield from difflib.unified_diff(*pair, f"{title} (now)", f"{title} (then)", n=2, lineterm="")
