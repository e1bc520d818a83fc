"""The whole job: cutover and rollback, and where the app stands."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from invoke.context import Context

from fabfile import output
from fabfile.commands.hosts.choice import one_host
from fabfile.commands.options import choices, help_texts, seconds_of_hours, task
from fabfile.errors import UsageError
from fabfile.lazy import lazily
from fabfile.resources import INVENTORY
from fabfile.terms import RUNTIMES, Scope

with lazily():
    import fabfile.commands.deploy
    import fabfile.commands.record
    import fabfile.commands.soak
    import fabfile.commands.status
    import fabfile.plans.cutover
    import fabfile.plans.rollback
    from fabfile import console, survey
    from fabfile.checks import parts, preflight
    from fabfile.commands import adopt, apply, follow, session
    from fabfile.commands.guide import deploying, home


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


@task
def status(c: Context, watch: bool = False, host: str = "", json: bool = False) -> None:
    """Show who owns the app, where the edge sends the public, and what is healthy in each runtime.

    Below that: restarts, memory, ports, versions and data of the owner's, firewall, exposure of units, the last plan,
    and each warning with its fix. --watch shows it again and again, until Ctrl-C.
    """
    vps, module = session.begin(c, host, json=json), fabfile.commands.status
    if watch:
        module.watch(vps)
        return
    vps.host.connect()
    module.show(vps.console, vps.site, vps.survey(module.request(vps.site)))


@task
@one_host
def guide(c: Context, host: str = "") -> None:
    """Show how things stand, ask what to do next, and show its plan before that begins; for a terminal.

    `islandflow` without a command does the same on a terminal.
    """
    tasks: dict[home.Next, Any] = {
        **{"attach": attach, "revert": revert, "cutover": cutover, "deploy": deploy},
        **{"go back": rollback, "rollback": rollback, "doctor": doctor, "history": history},
    }
    options = {"revert": {"last": True}, "rollback": {"full": True}}
    chosen = home.ask(session.begin(c, host))
    if chosen:
        with apply.plans_shown():
            tasks[chosen](c, host=host, **options.get(chosen, {}))


@task
@one_host
@help_texts(host="the VPS, as USER@ADDRESS or USER@ADDRESS:PORT; it needs no inventory")
def init(
    c: Context,
    host: str = "",
    key: str = "",
    output: str = "",
    project: str = "",
    force: bool = False,
    json: bool = False,
) -> None:
    """Survey a VPS and write its inventory, each value with what it was found in.

    What could not be found is a question in the file: a value that begins with ?, to be replaced by its answer. Nothing
    secret is written, and nothing is changed on the VPS.
    """
    adopt.init(
        c, console.Console(json=json), INVENTORY, host=host, key=key, output=output, project=project, force=force
    )


@task
def doctor(c: Context, host: str = "", json: bool = False) -> None:
    """Compare the inventory with the VPS, and say whether a cutover and a rollback would start.

    It names each difference with the line to change, and all that preflight has to say in both directions; it changes
    nothing. It ends with 0 where the inventory says what is there and both would start, with 3 otherwise.
    """
    adopt.doctor(session.begin(c, host, json=json), INVENTORY)


@task
def history(c: Context, plan: str = "", host: str = "", json: bool = False) -> None:
    """List past plans and how they ended, or with --plan every event of one."""
    vps = session.begin(c, host, json=json)
    if plan:
        fabfile.commands.status.events(vps.console, vps.host.journal(plan))
    else:
        fabfile.commands.status.past(vps.console, vps.host.history())


@task
@one_host
def record(c: Context, plan: str = "", last: bool = False, host: str = "", json: bool = False) -> None:
    """List the records of plans on this machine; --last opens the last one, --plan any other."""
    if plan and last:
        raise UsageError("record takes one of --plan and --last", next_step="inv record --last, or --plan ID.")
    if plan or last:
        fabfile.commands.record.open_one(session.begin(c, host, json=json), plan, os.environ)
    else:
        fabfile.commands.record.list_all(console.Console(json=json), os.environ)


@task
def followup(c: Context, plan: str = "", dry: bool = False, json: bool = False) -> None:
    """Make issues of what a plan left to decide (with Beads' bd where that is installed), or list it."""
    fabfile.commands.record.follow_up(console.Console(json=json), plan, dry, os.environ)


@task
def attach(c: Context, plan: str = "", host: str = "", json: bool = False) -> None:
    """Follow a plan that runs on the VPS; confirm or revert it where it waits for that.

    It shows the plan from its first event. Whoever began the plan: if it waits for its confirmation, the public checks
    run from this machine, and the plan is confirmed if they pass, else reverted.
    """
    follow.attach(session.begin(c, host, json=json), plan)


@task
@help_texts(plan="the plan to revert; the one that runs if left out", last="the newest plan that is unfinished")
def revert(
    c: Context,
    plan: str = "",
    last: bool = False,
    host: str = "",
    dry: bool = False,
    wait: bool = False,
    json: bool = False,
) -> None:
    """Revert the plan that runs, at once and from any machine, or one that was interrupted or got stuck.

    The step at hand is cut off and undone with those before it. Where no plan runs, --plan names one that is
    unfinished, as `inv status` does; --last takes the newest.
    """
    if plan and last:
        raise UsageError(
            "revert takes one of --plan and --last", next_step="inv status names the plans that are unfinished."
        )
    apply.Operation(c, host, dry=dry, wait=wait, json=json).revert(plan, last)


@task
def soak(c: Context, hours: str = "", stop: bool = False, host: str = "", json: bool = False) -> None:
    """Watch the owner's runtime for hours, from the VPS, and recommend: keep native, or go back.

    It samples health, restarts, memory, stream lag and the edge's errors, and goes on without you. Ctrl-C only stops
    watching; without --hours it shows the figures so far. Once a soak has ended, the command ends with 0 only if it
    recommends to keep what runs; while one runs, or where there is none, with 0.
    """
    seconds = seconds_of_hours(hours)
    if seconds and stop:
        raise UsageError(
            "soak takes one of --hours and --stop",
            next_step="inv soak --stop ends the one that runs; inv soak --hours 24 starts another.",
        )
    fabfile.commands.soak.soak(session.begin(c, host, json=json), seconds, stop)
