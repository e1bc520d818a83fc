"""Whatever the VPS's programs answer, a step that looks before it acts, and a probe, end with a result or in words."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from fabfile.inventory import Site
from fabfile.runner.actions.base import Action, Probe
from fabfile.runner.facts import environment
from fabfile.runner.system.machine import Machine, StepFailed
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.plan import Undo
from tests.plans.catalogue import PLANS
from tests.runner.support.answers import Damaged, answers
from tests.support import fuzz

# Of the VPS's own: they walk through folders, or send requests.
_APART = ("EdgeServes", "DataUnused", "Healthy", "Runs")


def test_any_answers_let_a_step_look_or_fail_in_words(
    site: Site, docker_serves: Facts, native_serves: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = answers(site)
    looks = [
        look
        for facts in (docker_serves, native_serves)
        for name in ("cutover full", "rollback --full", "infra.install", "app.install full", "deploy full in native")
        for step in PLANS[name](site, facts).steps
        for look in (step.action, *step.verify, *(step.undo.verify if isinstance(step.undo, Undo) else ()))
        if type(look).__name__ not in _APART
    ]
    assert len({type(look) for look in looks}) > 20

    def act(chance: Random) -> None:
        damaged = Damaged(tmp_path / "ops", told, chance)
        monkeypatch.setattr(Machine, "run", lambda self, argv, **given: damaged.run(argv, **given))
        environment._composed.clear()
        look = chance.choice(looks)
        if isinstance(look, Action):
            look.inspect(damaged)
        else:
            assert isinstance(look, Probe)
            look.check(damaged)

    fuzz.search(act, StepFailed, OSError)
