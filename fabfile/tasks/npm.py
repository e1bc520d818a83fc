"""The edge, Nginx Proxy Manager: where the public's requests go."""

from __future__ import annotations

import functools
import os
from typing import Literal

from invoke.context import Context

from fabfile.commands.hosts.choice import asks_once
from fabfile.commands.options import choices, task
from fabfile.errors import UsageError
from fabfile.lazy import lazily
from fabfile.terms import RUNTIMES, Owner, Runtime

with lazily():
    import fabfile.checks.edge
    from fabfile import survey
    from fabfile.checks import preflight
    from fabfile.commands import apply, backups, npm_token, session
    from fabfile.plans import edge, plan, steps


@task
@choices(way=("auto", "files", "api"), raw_api=("keep", "open", "closed"))
@asks_once(lambda arguments: None if arguments["dry"] else npm_token.ask_once(arguments["way"], os.environ))
def switch(
    c: Context,
    to: Owner = "",
    way: str = "auto",
    raw_api: str = "keep",
    host: str = "",
    dry: bool = False,
    wait: bool = False,
    json: bool = False,
) -> None:
    """Point the app's two hostnames at a runtime that answers, without a restart; nothing else changes."""
    assert to, "`task` refuses what is none of the choices"
    operation = apply.Operation(c, host, dry=dry, wait=wait, json=json)
    resolved = npm_token.resolve_way(way, os.environ)
    point = functools.partial(edge.point, to=to, way=resolved, raw_api=raw_api)
    token = functools.partial(npm_token.npm_token, edge=survey.edge_ref(operation.session.site), environ=os.environ)
    operation.apply(
        lambda site, facts: plan.Plan(
            "npm.switch", point(site, facts), watch=steps.watches(site, facts), settings={"to": to}
        ),
        judge=lambda site, facts: (
            preflight.edge_problems(point(site, facts), facts)
            + fabfile.checks.edge.beside(site, facts, to)
            + fabfile.checks.edge.restricted(facts)
            + fabfile.checks.edge.unmeasured(site, facts)
        ),
        secrets=token if npm_token.needs_token(resolved) else None,
    )


@task
def status(c: Context, host: str = "", json: bool = False) -> None:
    """Show where database, files and nginx send the app's hostnames, and whether they agree."""
    vps = session.begin(c, host, json=json)
    facts = vps.survey(survey.edge_and_owner(vps.site))
    vps.show_checks("edge", fabfile.checks.edge.state(vps.site, facts))


@task
@choices(to=("owner", *RUNTIMES))
def diff(c: Context, to: Runtime | Literal["owner"] = "owner", host: str = "", json: bool = False) -> None:
    """Compare database, generated files and running nginx with what is wanted, by host and key."""
    vps = session.begin(c, host, json=json)
    facts = vps.survey()
    runtime = survey.owner(facts) if to == "owner" else to
    if not runtime:
        why = facts.owner_error or "nobody owns the app"
        raise UsageError(f"{why}, so nothing says where the edge should lead", next_step="Say --to.")
    fix = f"inv npm.switch --to {runtime} makes them agree, or says what keeps it from doing so."
    vps.show_checks(f"edge, wanted: {runtime}", fabfile.checks.edge.differences(vps.site, facts, runtime), fix)


@task
def backup(c: Context, host: str = "", dry: bool = False, wait: bool = False, json: bool = False) -> None:
    """Back up the edge now: the whole database, and the files of the app's hostnames."""
    operation = apply.Operation(c, host, dry=dry, wait=wait, json=json)
    operation.apply(
        lambda site, facts: plan.Plan("npm.backup", edge.keep(site, facts)),
        judge=preflight.edge_backup,
    )


@task
def restore(
    c: Context, backup: str = "", host: str = "", dry: bool = False, wait: bool = False, json: bool = False
) -> None:
    """List the edge's backups, switches' included, or bring back one's rows and files with --backup."""
    operation = apply.Operation(c, host, dry=dry, wait=wait, json=json)
    if not backup:
        vps = operation.session
        facts = vps.survey(survey.edge(vps.site, backups="all"))
        backups.show(vps.console, facts)
        return
    operation.apply(
        lambda site, facts: plan.Plan(
            "npm.restore", edge.restore(site, facts, backup), watch=steps.watches(site, facts)
        ),
        judge=lambda site, facts: preflight.edge_problems(edge.restore(site, facts, backup), facts),
        also=survey.edge(operation.session.site, backups=backup),
    )
