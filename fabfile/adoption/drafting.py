"""Facts about a VPS → the inventory that it should have, as a draft and as text."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fabfile import resources
from fabfile.adoption import app, edge, servers, services, shipped, streams, writing
from fabfile.adoption.draft import Draft
from fabfile.adoption.scene import Choice, Scene, recognised
from fabfile.inventory import open_problems, paths
from fabfile.runner.wire.adoption import Adoption

HOST = "vps"
_ROUNDS = 40  # in which what the inventory can't hold is made a question; each round settles at least one value


@dataclass(frozen=True)
class Login:
    """How the VPS was reached."""

    address: str
    user: str
    port: int = 22
    key: str = ""


def drafted(facts: Adoption, known: Mapping[str, Any], login: Login, choice: Choice) -> tuple[Draft, Scene]:
    """The draft, and what was recognised. Raises UsageError where no app was, or several could be meant."""
    scene = recognised(facts, known, choice)
    draft = Draft()
    _host(draft, login)
    shipped.fill(draft, scene)
    for part in (app, services, servers, edge, streams):
        part.fill(draft, scene)
    return draft, scene


def settled(draft: Draft) -> Draft:
    """The draft with everything that the inventory can't hold made a question: it loads, or asks."""
    for _ in range(_ROUNDS):
        problems = open_problems(tomllib.loads(writing.text(draft, ())))
        if not problems:
            break
        for problem in problems:
            _ask_instead(draft, problem.path, problem.text)
    return draft


def text(draft: Draft, scene: Scene, login: Login) -> str:
    """The file."""
    project = scene.project
    kind = "the Islandflow that the tool knows" if scene.known else "no app that the tool knows"
    asked = draft.questions()
    heading = [
        f"The inventory of {scene.facts.host}, written by `inv init` from what was found on {login.address}:",
        f"Compose project {project.name} in {project.directory}, {kind}.",
        "",
        "The comment at a value says what it was found in. What is called shipped can't be seen on a VPS, or is the",
        "tool's own choice. An editor that reads the schema above explains every key, and so does docs/inventory.md in",
        "the tool's repository. `inv doctor` compares this file with the VPS at any time.",
        "",
        "This is no place for secrets: what stands here ends up in plain files.",
    ]
    if asked:
        count = "one value" if len(asked) == 1 else f"{len(asked)} values"
        heading += [
            "",
            f'Not found: {count}, to be replaced where a text begins with "?". Loading the file lists them all.',
        ]
    return f"#:schema {resources.SCHEMA.as_uri()}\n{writing.text(draft, heading)}"  # which editors look for


def _host(draft: Draft, login: Login) -> None:
    draft.found(("default_host",), HOST, "the only one")
    at = ("hosts", HOST)
    draft.found((*at, "address"), login.address, "as `init` was told")
    if login.port != 22:
        draft.found((*at, "port"), login.port, "as `init` was told")
    draft.found((*at, "user"), login.user, "as `init` was told; logs in and runs sudo")
    if login.key:
        draft.found((*at, "key"), login.key, "as `init` was told")


def _ask_instead(draft: Draft, path: paths.Path, problem: str) -> None:
    """Ask for a value that the inventory can't hold, or for the list or table that it is part of."""
    above = next((path[:size] for size in range(1, len(path)) if path[:size] in draft), None)
    place = above or path
    entry = draft.entries.get(place)
    why = f"found {paths.quote(entry.value)}; {problem}" if entry and not above else problem
    draft.drop(place)
    draft.ask(place, why)
