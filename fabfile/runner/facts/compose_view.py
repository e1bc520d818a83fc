"""How what Compose will run differs from the app's own file, and from the containers that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..system import docker
from ..system.machine import CommandFailed, Machine, failure_detail
from ..wire.app import Compose, ComposeDifference, ComposeView
from . import compose

Path = tuple[str, ...]

_ABSENT = object()  # in place of a value: there is none
_RECREATED = re.compile(r"Container (\S+)\s+Recreate\s*$")


def view(machine: Machine, ref: Compose, overlay: str) -> ComposeView:
    """Compose's own reading, compared place by place. `overlay` is what a plan would write. Never raises."""
    try:
        own, planned = compose.own(machine, ref), compose.planned(machine, ref, overlay)
        differences = tuple(_differences(own, compose.installed(machine, ref), planned))
    except CommandFailed as error:
        return ComposeView(problem=failure_detail(error))
    try:
        return ComposeView(differences, _to_recreate(machine, ref))
    except CommandFailed as error:  # an older Compose has no --dry-run
        return ComposeView(differences, untold=failure_detail(error))


def _differences(own: object, installed: object, planned: object) -> Iterator[ComposeDifference]:
    own_values, installed_values, planned_values = (dict(_flat(config)) for config in (own, installed, planned))
    for path in sorted({*own_values, *installed_values, *planned_values}):
        in_own, in_installed, in_planned = (
            values.get(path, _ABSENT) for values in (own_values, installed_values, planned_values)
        )
        if in_installed != in_own:
            change = "added" if in_own is _ABSENT else "removed" if in_installed is _ABSENT else "changed"
            yield ComposeDifference(path, change, in_installed == in_planned)
        elif in_planned != in_own:
            yield ComposeDifference(path, "lacking", True)


def _flat(value: object, at: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every value that is no table and no list, by its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if not items:
        yield at, value
        return
    for key, inner in items:
        yield from _flat(inner, (*at, str(key)))


def _to_recreate(machine: Machine, ref: Compose) -> tuple[str, ...]:
    """The containers that Compose would recreate, by a dry run."""
    argv = [*docker.compose(ref), "--dry-run", "up", "--no-start", "--no-build", "--pull", "never"]
    result = machine.run(argv, timeout=60, ok=None)
    if result.code:
        raise CommandFailed("docker compose could not compare the containers with its files", said=result.excerpt)
    lines = (_RECREATED.search(line) for line in (result.out + result.err).splitlines())
    return tuple(sorted({match[1] for match in lines if match}))
