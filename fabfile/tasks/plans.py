"""Works with plans that run or have run: attach, revert, history, and the records that they leave."""

from __future__ import annotations

import os

from invoke.context import Context

from fabfile.commands.hosts.choice import one_host
from fabfile.commands.options import help_texts, task
from fabfile.errors import UsageError
from fabfile.lazy import lazily

with lazily():
    import fabfile.commands.record
    import fabfile.commands.status
    from fabfile import console
    from fabfile.commands import apply, follow, session


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
