"""The edge, Nginx Proxy Manager: where the public's requests go."""

from __future__ import annotations

from typing import Any

from fabfile import survey
from fabfile.operation import Operation
from fabfile.options import task
from fabfile.plan import Plan
from fabfile.plans import edge, preflight
from fabfile.plans.parts import watches
from fabfile.runner.facts import Wanted


@task
def switch(c: Any, to: str = "", host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Point the app's two hostnames at a runtime that answers, without a restart; nothing else changes."""
    Operation(c, host, dry=dry, wait=wait, json=json).apply(
        lambda site, facts: Plan("npm.switch", edge.point(site, facts, to), watch=watches(site), settings={"to": to}),
        judge=lambda site, facts: preflight.edge_findings(site, facts, to),
    )


@task
def status(c: Any, host: str = "", json: bool = False) -> None:
    """Show where database, files and nginx send the app's hostnames, and whether they agree."""
    operation = Operation(c, host, json=json)
    facts = operation.survey(Wanted(edge=survey.edge_ref(operation.site)))
    operation.checked("edge", edge.checks(operation.site, facts))
