"""Says how things stand and what to do next: guide, init, doctor, status and soak."""

from __future__ import annotations

from typing import Any

from invoke.context import Context

from fabfile.commands.hosts.choice import one_host
from fabfile.commands.options import help_texts, seconds_of_hours, task
from fabfile.errors import UsageError
from fabfile.lazy import lazily
from fabfile.resources import INVENTORY
from fabfile.tasks import handover, plans

with lazily():
    import fabfile.commands.soak
    import fabfile.commands.status
    from fabfile import console
    from fabfile.commands import adopt, apply, session
    from fabfile.commands.guide import home


@task
@one_host
def guide(c: Context, host: str = "") -> None:
    """Show how things stand, ask what to do next, and show its plan before that begins; for a terminal.

    `islandflow` without a command does the same on a terminal.
    """
    tasks: dict[home.Next, Any] = {
        **{"attach": plans.attach, "revert": plans.revert, "history": plans.history, "doctor": doctor},
        **{"cutover": handover.cutover, "deploy": handover.deploy},
        **{"go back": handover.rollback, "rollback": handover.rollback},
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
