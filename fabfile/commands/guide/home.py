"""Says how things stand, and what can be done next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from fabfile import survey
from fabfile.commands import status
from fabfile.commands.session import Session
from fabfile.errors import UsageError
from fabfile.inventory import Site
from fabfile.output import has_terminal
from fabfile.plans import deploy
from fabfile.runner.wire.facts import Facts

Next = Literal["attach", "revert", "cutover", "deploy", "go back", "rollback", "doctor", "history"]
"""What can be done next."""

ALL: tuple[Next, ...] = get_args(Next)


def ask(session: Session) -> Next | None:
    """Show how things stand and ask what to do next; None where that is nothing.

    Raises Unreachable, and UsageError where nobody can be asked.
    """
    if not has_terminal():
        raise UsageError(
            "guide asks what to do next, and there is no terminal to answer at",
            next_step="inv status says how things stand; islandflow --help and inv --list name every command.",
        )
    site, console = session.site, session.console
    facts = session.survey(survey.merge(status.request(site), survey.releases(site)))
    status.show(console, site, facts)
    ways = dict(possible(site, facts))
    chosen = console.choose("What next? Each shows its plan and asks before it begins.", list(ways.values()))
    return None if chosen is None else list(ways)[chosen]


def possible(site: Site, facts: Facts) -> Iterator[tuple[Next, str]]:
    """What can be done next as things are, each with its words; what would be refused is left out."""
    ops, owner = facts.ops, survey.owner(facts)
    if ops.lock:
        yield "attach", f"follow the plan that runs ({ops.lock.what}, {ops.lock.who}); inv attach"
    elif ops.unfinished:
        yield "revert", f"revert {ops.unfinished[-1]}, which is unfinished; inv revert --last"
    elif owner:
        if owner == "docker":
            yield "cutover", "hand the app from Docker to native; inv cutover"
        yield "deploy", f"deploy a commit of the app, in {owner}; inv deploy"
        release, _ = deploy.last_good(site, facts, site.scope("full"), owner)
        if release:
            yield "go back", f"go back to the last good release, {release.commit[:12]}; inv rollback"
        if owner == "native":
            yield "rollback", "hand the app back to Docker; inv rollback --full"
    yield "doctor", "compare the inventory with the VPS, and say whether a cutover would start; inv doctor"
    yield "history", "list past plans; inv history"
