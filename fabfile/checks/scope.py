"""Whether a part of the app can be handed over alone."""

from __future__ import annotations

from fabfile import survey
from fabfile.checks.result import Finding
from fabfile.inventory import Site
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Scope


def scope_findings(site: Site, facts: Facts, scope: Scope) -> list[Finding]:
    """Why this scope cannot be handed over alone."""
    if scope == "full" or survey.owner(facts) == "native":
        return []
    return [
        Finding(
            f"--scope {scope} alone would leave the rest of the app down: native does not own it",
            "inv cutover",
        )
    ]
