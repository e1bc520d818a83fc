"""Translates how a container starts its service into arguments of `bun` in a directory of the checkout."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

from ..system.inspected import InspectedConfig
from ..wire import shape
from ..wire.adoption import StartFound

_WRAPPERS = ("docker-entrypoint.sh", "tini", "dumb-init", "docker-init")
_SECRET = re.compile(r"(pass|secret|token|key|credential)", re.IGNORECASE)
_SOURCE = re.compile(r"\.(ts|tsx|js|mjs|cjs)\Z")


def start(config: InspectedConfig, checkout: Path | None) -> StartFound:
    """The start in a container's configuration; with a `problem` where it is no plain `bun`."""
    arguments = [*_arguments(config.get("Entrypoint")), *_arguments(config.get("Cmd"))]
    while arguments and posixpath.basename(arguments[0]) in (*_WRAPPERS, "--"):
        arguments = arguments[1:]
    if not arguments or posixpath.basename(arguments[0]) != "bun":
        program = posixpath.basename(arguments[0]) if arguments else "nothing"
        return StartFound(problem=f"its container starts {program}, which is not bun")
    argv = tuple(arguments[1:])
    if not argv:
        return StartFound(problem="its container starts bun without an argument")
    if any(_SECRET.search(argument) for argument in argv):
        return StartFound(problem="its command has an argument that may be secret, so it is not shown")
    if checkout is None:
        return StartFound(problem="there is no checkout to compare its command with")
    return _in_checkout(str(config.get("WorkingDir") or "/"), argv, checkout)


def _in_checkout(directory: str, argv: tuple[str, ...], checkout: Path) -> StartFound:
    """The directory of the checkout that the container's working directory is a copy of."""
    for candidate in _below(directory):
        place = checkout / candidate
        if os.path.isdir(place) and _fits(place, argv):
            return StartFound(candidate, argv, scripts=scripts(place))
    return StartFound(problem=f"nothing in the checkout is what `bun {' '.join(argv)}` in {directory} would run")


def _below(directory: str) -> list[str]:
    """/app/services/api as app/services/api, services/api, api, and the checkout itself."""
    parts = [part for part in directory.split("/") if part]
    return ["/".join(parts[index:]) for index in range(len(parts))] + ["."]


def _fits(place: Path, argv: Sequence[str]) -> bool:
    """Whether `bun` can run the arguments there: the source file or, for `run NAME`, a script of that name, exists."""
    folder = place
    rest = list(argv)
    if rest[:1] == ["run"]:
        rest = rest[1:]
    if rest[:1] == ["--cwd"] and len(rest) > 1:
        folder, rest = place / rest[1], rest[2:]
    if not rest:
        return False
    if _SOURCE.search(rest[0]) or "/" in rest[0]:
        return os.path.isfile(folder / rest[0])
    return rest[0] in scripts(folder) or (rest[0] in ("x", "exec") and os.path.isfile(folder / "package.json"))


def scripts(place: Path) -> tuple[str, ...]:
    """The names of the scripts that a directory's package.json has."""
    try:
        names = shape.parse((place / "package.json").read_text()).get("scripts") or {}
        return tuple(sorted(str(name) for name in names))
    except (OSError, ValueError, AttributeError, TypeError):
        return ()


def _arguments(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(word) for word in value] if isinstance(value, list) else []
