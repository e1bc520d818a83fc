"""Has the app run elsewhere or from another commit: cutover, rollback and deploy, and the list of releases."""

from __future__ import annotations

import contextlib

from invoke.context import Context

from fabfile import output
from fabfile.commands.options import choices, help_texts, task
from fabfile.errors import UsageError
from fabfile.lazy import lazily
from fabfile.terms import RUNTIMES, Scope

with lazily():
    import fabfile.commands.deploy
    import fabfile.plans.cutover
    import fabfile.plans.rollback
    from fabfile import console, survey
    from fabfile.checks import parts, preflight
    from fabfile.commands import apply, session
    from fabfile.commands.guide import deploying


@task
def cutover(
    c: Context,
    scope: Scope = "full",
    host: str = "",
    dry: bool = False,
    wait: bool = False,
    json: bool = False,
    no_confirm: bool = False,
    accept_downgrade: bool = False,
    yes: bool = False,
) -> None:
    """Hand the app from Docker to native: servers, data, app and edge, or nothing at all.

    It shows what it will do and asks whether it may begin; --yes begins at once.
    """
    apply.Operation(c, host, dry=dry, wait=wait, json=json, hooks="cutover", ask=not yes).apply(
        lambda site, facts: fabfile.plans.cutover.cutover(site, facts, scope),
        judge=lambda site, facts: (
            parts.scope_findings(site, facts, scope)
            + preflight.findings(site, facts, "native", accept_downgrade=accept_downgrade)
        ),
        versions=True,
        confirm=not no_confirm,
    )


@task
def rollback(
    c: Context,
    full: bool = False,
    ref: str = "",
    scope: Scope = "full",
    pieces: str = "",
    host: str = "",
    dry: bool = False,
    wait: bool = False,
    json: bool = False,
    no_confirm: bool = False,
    accept_downgrade: bool = False,
    yes: bool = False,
) -> None:
    """Go back to the last good release, or to a commit (--ref); or hand the app back to Docker (--full).

    Without --full it is a deploy of that release, with builds, hold, undo and public checks, and the releases that it
    leaves are marked as bad. It shows what it will do and asks whether it may begin; --yes begins at once.
    """
    if full and (ref or pieces or scope != "full"):
        raise UsageError(
            "rollback --full hands back the whole app, and to no commit",
            next_step="inv rollback --full, or inv rollback with --ref, --scope or --pieces.",
        )
    operation = apply.Operation(c, host, dry=dry, wait=wait, json=json, hooks="rollback", ask=not yes)
    if not full:
        choice = fabfile.commands.deploy.Choice(scope, pieces)
        fabfile.commands.deploy.go_back(operation, ref, choice, confirm=not no_confirm)
    else:
        operation.apply(
            fabfile.plans.rollback.rollback,
            judge=lambda site, facts: preflight.findings(site, facts, "docker", accept_downgrade=accept_downgrade),
            versions=True,
            confirm=not no_confirm,
        )


@task
@choices(runtime=("owner", *RUNTIMES))
@help_texts(ref="main, another branch, a tag or a commit; current: push the branch here, and deploy it")
def deploy(
    c: Context,
    ref: str = "",
    scope: Scope = "full",
    pieces: str = "",
    fast: bool = False,
    no_build: bool = False,
    force_recreate: bool = False,
    runtime: str = "owner",
    host: str = "",
    dry: bool = False,
    wait: bool = False,
    json: bool = False,
    no_confirm: bool = False,
    yes: bool = False,
) -> None:
    """Deploy a commit of the app: built beside what runs, then one service after the other.

    Workers come first, then the API, then web; what is asked of these two waits while they restart. Where one is not
    healthy in time, or the public checks fail, all are put back to the release that they ran before. It shows what it
    will do and asks whether it may begin; --yes begins at once. On a terminal it asks for what is left out.
    """
    guided = not ref and not json and output.has_terminal()
    if not (ref or guided):
        raise UsageError("deploy needs --ref", next_step="inv deploy --ref main, or another branch, tag or commit.")
    commands = fabfile.commands.deploy
    choice = commands.Choice(scope, pieces, runtime, fast)
    if guided:
        ref, choice = deploying.ask(console.Console(), session.load_site(), choice)
    with apply.plans_shown() if guided and not yes else contextlib.nullcontext():
        operation = apply.Operation(c, host, dry=dry, wait=wait, json=json, hooks="deploy", ask=not yes)
    wait_for_checks = not (no_confirm or fast)
    commands.deploy(operation, ref, choice, build=not no_build, confirm=wait_for_checks, anew=force_recreate)


@task
def releases(c: Context, host: str = "", json: bool = False) -> None:
    """List the app's releases: which are live, good or bad, since when, by whom, and their size."""
    vps = session.begin(c, host, json=json)
    facts = vps.survey(survey.releases(vps.site), then=(fabfile.commands.deploy,))
    fabfile.commands.deploy.show(vps.console, vps.site, facts)
