"""inventory.toml → Site, or one InventoryError with everything that is wrong."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fabfile import resources
from fabfile.errors import InventoryError
from fabfile.inventory import checks, defaults, fields, messages, paths, questions, variables
from fabfile.inventory.messages import MISSING, Problem
from fabfile.inventory.model import Site


def load(path: Path, env: Mapping[str, str]) -> Site:
    """The inventory at `path`, with the variables of `env` that override it.

    Raises InventoryError naming every problem with its path in the file, the file's own (missing, unreadable,
    not TOML) and questions that nobody has answered yet included. Where the file asks for a newer tool it names that
    alone: what looks wrong to this one may be right.
    """
    written = _read(path)
    _refuse_newer(path, written.get("min_version"))
    site, found, derived, origin = _examined(written, env)
    if site is None:
        raise InventoryError(str(path), _spelled(found, derived, origin))
    return site


def absolute(written: dict[str, Any]) -> dict[str, Any]:
    """The tables of a file as the model sees them: every path absolute, what follows filled in, questions left out."""
    raw = copy.deepcopy(written)
    questions.take(raw)
    defaults.fill(raw)
    return raw


def open_problems(written: dict[str, Any]) -> list[Problem]:
    """What is wrong with the tables of a file besides the questions in them, where no variable overrides anything."""
    _, found, derived, _ = _examined(copy.deepcopy(written), {})
    plain = [problem for problem in found if problem.path not in derived] or found
    return [problem for problem in plain if not questions.asks(problem)]


def _examined(
    written: dict[str, Any], env: Mapping[str, str]
) -> tuple[Site | None, list[Problem], set[paths.Path], dict[paths.Path, str]]:
    """The inventory, or its problems, the paths of derived values, and the variables that some values came from."""
    named = [
        messages.unknown_key((*at, "name"), messages.known_keys(at))
        for table in defaults.NAMED
        for at, entry in paths.find(written, f"{table}.*")
        if isinstance(entry, dict) and "name" in entry
    ]
    origin = variables.override(written, env)
    asked = questions.take(written)
    raw = copy.deepcopy(written)
    derived = defaults.fill(raw)
    found = [*named, *checks.check(raw)]
    try:
        site = Site.model_validate(raw)
    except ValidationError as error:
        found += [_at_entry(problem, raw) for problem in messages.from_model(error, written)]
    else:
        if not found and not asked:
            return site, [], derived, origin
    return None, [*asked, *questions.unexplained(found, asked)], derived, origin


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        problem = "the file does not exist; name another with -i or ISLANDFLOW_INVENTORY"
    except OSError as error:
        problem = f"the file can't be read: {error.strerror}"
    except UnicodeDecodeError as error:
        problem = f"is not TOML: it is not UTF-8 text (byte {error.start})"
    except (ValueError, RecursionError) as error:
        problem = f"is not TOML: {error}"
    raise InventoryError(str(path), [problem])


def _refuse_newer(path: Path, wanted: object) -> None:
    """Raises InventoryError where the tool is older than `wanted`; the model says so where that is no version."""
    if not isinstance(wanted, str) or not re.fullmatch(fields.VERSION, wanted, re.ASCII):
        return
    own = resources.version()
    if _release(wanted) > _release(own):
        name = resources.DISTRIBUTION
        fix = f"pipx upgrade {name}, uv tool upgrade {name}, or git pull in a checkout"
        problem = f"min_version: {paths.quote(wanted)} is needed, and this tool is {own}. Upgrade it: {fix}"
        raise InventoryError(str(path), [problem])


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without zeros at their end: 0.2 and 0.2.0 are the same."""
    numbers = re.match(fields.VERSION, version, re.ASCII)
    return tuple(int(part) for part in re.sub(r"(\.0+)+$", "", numbers[0]).split(".")) if numbers else ()


def _at_entry(problem: Problem, raw: dict[str, Any]) -> Problem:
    """An entry's name is its table's key: what is wrong with it is reported there."""
    path = problem.path
    if len(path) > 2 and path[-1] == "name" and paths.spell(path[:-2]) in defaults.NAMED:
        return Problem(path[:-1], problem.text)
    return problem


def _spelled(found: list[Problem], derived: set[paths.Path], origin: Mapping[paths.Path, str]) -> list[str]:
    """The problems in the order of their paths, each once; of derived values only if there are no others."""
    explained = {problem.path for problem in found if problem.text != MISSING}
    found = [problem for problem in found if problem.text != MISSING or problem.path not in explained]
    shown = [problem for problem in found if problem.path not in derived] or found
    lines: dict[str, None] = {}
    for problem in sorted(shown, key=lambda problem: [str(key) for key in problem.path]):
        where = paths.spell(problem.path)
        if problem.path in origin:
            where = f"{origin[problem.path]} (in place of {where})"
        lines[f"{where}: {problem.text}"] = None
    return list(lines)
