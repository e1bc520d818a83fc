"""How a container starts its service, told as words behind `bun` in a directory of the checkout."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

from ..system.inspected import InspectedConfig
from ..wire.adoption import StartFound

_WRAPPERS = ("docker-entrypoint.sh", "tini", "dumb-init", "docker-init")
_SECRET = re.compile(r"(pass|secret|token|key|credential)", re.IGNORECASE)
_SOURCE = re.compile(r"\.(ts|tsx|js|mjs|cjs)\Z")


def start(config: InspectedConfig, checkout: Path | None) -> StartFound:
    """The start that Docker's own configuration of a container says; with a `problem` where it is no plain `bun`."""
    words = [*_words(config.get("Entrypoint")), *_words(config.get("Cmd"))]
    while words and posixpath.basename(words[0]) in (*_WRAPPERS, "--"):
        words = words[1:]
    if not words or posixpath.basename(words[0]) != "bun":
        first = posixpath.basename(words[0]) if words else "nothing"
        return StartFound(problem=f"its container starts {first}, which is not bun")
    argv = tuple(words[1:])
    if not argv:
        return StartFound(problem="its container starts bun without a word")
    if any(_SECRET.search(word) for word in argv):
        return StartFound(problem="its command has a word that may be secret, so it is not shown")
    if checkout is None:
        return StartFound(problem="there is no checkout to compare its command with")
    return _placed(str(config.get("WorkingDir") or "/"), argv, checkout)


def _placed(inside: str, argv: tuple[str, ...], checkout: Path) -> StartFound:
    """The directory of the checkout that the container's working directory is a copy of."""
    for directory in _below(inside):
        place = checkout / directory
        if place.is_dir() and _fits(place, argv):
            return StartFound(directory, argv, scripts=scripts(place))
    return StartFound(problem=f"nothing in the checkout is what `bun {' '.join(argv)}` in {inside} would run")


def _below(inside: str) -> list[str]:
    """/app/services/api as app/services/api, services/api, api, and the checkout itself."""
    parts = [part for part in inside.split("/") if part]
    return ["/".join(parts[index:]) for index in range(len(parts))] + ["."]


def _fits(place: Path, argv: Sequence[str]) -> bool:
    """Whether the words mean something there: their source file or, for `run NAME`, a script of that name."""
    where = place
    rest = list(argv)
    if rest[:1] == ["run"]:
        rest = rest[1:]
    if rest[:1] == ["--cwd"] and len(rest) > 1:
        where, rest = place / rest[1], rest[2:]
    if not rest:
        return False
    if _SOURCE.search(rest[0]) or "/" in rest[0]:
        return (where / rest[0]).is_file()
    return rest[0] in scripts(where) or (rest[0] in ("x", "exec") and (where / "package.json").is_file())


def scripts(place: Path) -> tuple[str, ...]:
    """The names of the scripts that a directory's package.json has."""
    try:
        found = json.loads((place / "package.json").read_text()).get("scripts") or {}
        return tuple(sorted(str(name) for name in found))
    except (OSError, ValueError, AttributeError, TypeError):
        return ()


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(word) for word in value] if isinstance(value, list) else []
