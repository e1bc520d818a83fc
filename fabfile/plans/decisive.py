"""Which public checks decide on a plan that waits for its confirmation: those of what it changes.

A hand-over is decided by all of them. A plan that only restarts services is decided by those that were good before it,
and by none if it restarts nothing that answers the public: then the health of what it restarts decides alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from fabfile.inventory import Service
from fabfile.plans.plan import Plan

Excuse = Callable[[str], str]
"""The name of a check that is not good → why it does not decide; empty where it does."""

_SETTING = "public_checks"  # the settings of a plan; without the first one all checks decide
_BEFORE = "not_good_before"
_AS_BEFORE, _WARN = "as before", "only warn"

_NO_BETTER = "it was not good before the plan either"
_UNTOUCHED = "it was good before the plan, which restarts nothing that answers the public"


def of_restarts(services: Iterable[Service]) -> dict[str, str]:
    """The settings of a plan that restarts these services and hands nothing over.

    Behind the hold a restart of web or API leads all requests away and back again, so that it can harm any check.
    """
    return {_SETTING: _AS_BEFORE if any(service.port for service in services) else _WARN}


def compares(plan: Plan) -> bool:
    """Whether it must be known before the plan which checks are good."""
    return bool(plan.confirm_within) and _SETTING in plan.settings


def with_bad_before(plan: Plan, names: Iterable[str]) -> Plan:
    """The plan, with the checks that were not good before it: whoever decides on it may be another command."""
    bad = list(names)
    return replace(plan, settings={**plan.settings, _BEFORE: json.dumps(bad, ensure_ascii=False)}) if bad else plan


def excuse(settings: Mapping[str, str]) -> Excuse:
    """Which checks need not be good, by a plan's settings."""
    before = frozenset(json.loads(settings.get(_BEFORE, "[]")))
    way = settings.get(_SETTING, "")

    def why(name: str) -> str:
        if way and name in before:
            return _NO_BETTER
        return _UNTOUCHED if way == _WARN else ""

    return why


def words(plan: Plan) -> str:
    """What decides on the plan after its last step, as the second half of a sentence."""
    way, limit = plan.settings.get(_SETTING, ""), f"within {plan.confirm_within:g} s"
    if way == _WARN:
        return "they only warn: the health of what is restarted decides"
    if way == _AS_BEFORE:
        return f"unless those that are good now pass {limit}, all is undone"
    return f"unless they pass {limit}, all is undone"
