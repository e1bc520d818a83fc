"""How what Compose will run differs from the app's own file, and from the containers that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..system import docker
from ..system.machine import CommandFailed, Machine, said
from ..wire.compose import Compose, ComposeDifference, ComposeView
from . import compose

Path = tuple[str, ...]

_NOTHING = object()  # in place of a value: there is none
_RENEWED = re.compile(r"Container (\S+)\s+Recreate\s*$")


def view(machine: Machine, ref: Compose, overlay: str) -> ComposeView:
    """Compose's own reading, compared place by place. `overlay` is what a plan would write. Never raises."""
    try:
        own, planned = compose.own(machine, ref), compose.planned(machine, ref, overlay)
        differences = tuple(_differences(own, compose.installed(machine, ref), planned))
    except CommandFailed as error:
        return ComposeView(problem=said(error))
    try:
        return ComposeView(differences, _renewed(machine, ref))
    except CommandFailed as error:  # older ones cannot tell what they would do
        return ComposeView(differences, untold=said(error))


def _differences(own: object, installed: object, planned: object) -> Iterator[ComposeDifference]:
    before, now, then = (dict(_flat(config)) for config in (own, installed, planned))
    for path in sorted({*before, *now, *then}):
        was, is_, will = (found.get(path, _NOTHING) for found in (before, now, then))
        if is_ != was:
            change = "added" if was is _NOTHING else "removed" if is_ is _NOTHING else "changed"
            yield ComposeDifference(path, change, is_ == will)
        elif will != was:
            yield ComposeDifference(path, "lacking", True)


def _flat(value: object, at: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every value that is no table and no list, by its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if not items:
        yield at, value
        return
    for key, inner in items:
        yield from _flat(inner, (*at, str(key)))


def _renewed(machine: Machine, ref: Compose) -> tuple[str, ...]:
    """The containers that Compose would make anew, by a run that changes nothing."""
    argv = [*docker.compose(ref), "--dry-run", "up", "--no-start", "--no-build", "--pull", "never"]
    result = machine.run(argv, timeout=60, ok=None)
    if result.code:
        raise CommandFailed(
            "docker compose could not tell whether the containers are as the file says", said=result.said
        )
    lines = (_RENEWED.search(line) for line in (result.out + result.err).splitlines())
    return tuple(sorted({match[1] for match in lines if match}))
