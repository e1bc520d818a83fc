"""Asks which commit to deploy, and to which services: what --ref, --scope and --pieces say."""

from __future__ import annotations

from collections.abc import Iterator

from fabfile.commands.deploy import CURRENT, Choice, branch_here
from fabfile.console import Console
from fabfile.errors import Interrupted
from fabfile.inventory import Site
from fabfile.terms import SCOPES, Scope

_NAMED = "services by name"


def ask(console: Console, site: Site, choice: Choice) -> tuple[str, Choice]:
    """The ref, and the choice, completed by the answers; a scope or services that are chosen already are not asked for.

    Raises Interrupted where an answer is left out.
    """
    ref = _ref(console)
    if choice.pieces or choice.fast or choice.scope != "full":
        return ref, choice
    return ref, _services(console, site, choice)


def _ref(console: Console) -> str:
    branch = branch_here()
    options = ["main"]
    if branch not in ("", "main"):
        options.append(f"{branch}, as the app's repository has it")
    if branch:
        options.append(f"{CURRENT}: push {branch}, the branch that is checked out here, and deploy it")
    chosen = _required(console.choose("Deploy what?", [*options, "another branch, a tag or a commit"]))
    if chosen == len(options):
        return _named(console, "Which branch, tag or commit?")
    return CURRENT if options[chosen].startswith(f"{CURRENT}:") else "main" if chosen == 0 else branch


def _services(console: Console, site: Site, choice: Choice) -> Choice:
    scopes = dict(_scopes(site))
    chosen = _required(console.choose("To which services?", [*scopes.values(), _NAMED]))
    if chosen == len(scopes):
        names = ", ".join(site.services)
        return Choice(pieces=_named(console, f"Which of {names}? Commas between them."), runtime=choice.runtime)
    return Choice(list(scopes)[chosen], runtime=choice.runtime)


def _scopes(site: Site) -> Iterator[tuple[Scope, str]]:
    """Each scope that has services, with their names."""
    for scope in SCOPES:
        names = [service.name for service in site.scope(scope)]
        if names:
            yield scope, f"{scope}: {', '.join(names)}"


def _named(console: Console, question: str) -> str:
    answer = console.answer(question)
    if not answer:
        raise _left()
    return answer


def _required(chosen: int | None) -> int:
    if chosen is None:
        raise _left()
    return chosen


def _left() -> Interrupted:
    return Interrupted("it has not begun, since nothing was chosen", next_step="inv deploy --ref REF needs no answers.")
