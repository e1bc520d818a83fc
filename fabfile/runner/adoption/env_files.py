"""Env files: which there are and which names they hold. Values stay on the VPS, but for the named few."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..wire.adoption import EnvFileFound

_KEY = re.compile(r"^(\s*)(?:-\s+)?env_file:\s*(.*)$")
_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=(.*)$")
_QUOTED = re.compile(r"""^(["'])(.*?)\1\s*(#.*)?$""")
_ITEM = re.compile(r"^(\s*)-\s+(?:path:\s*)?(.+)$")


def env_files(directory: str, files: Sequence[str], root: str, shown: Sequence[str]) -> tuple[EnvFileFound, ...]:
    """Docker's env files as its Compose files name them, then the checkout's own; each once."""
    named = [path for file in files for path in _named(Path(file), directory)]
    own = [f"{root}/.env"] if root else []
    paths = dict.fromkeys([*named, *([f"{directory}/.env"] if not named else []), *own])
    return tuple(_read(path, shown) for path in paths)


def differing(one: str, other: str) -> tuple[str, ...]:
    """The names that two env files hold with different values, or only one of them holds; none if one is missing."""
    try:
        left, right = _values(one), _values(other)
    except (OSError, ValueError):
        return ()
    return tuple(sorted(name for name in {*left, *right} if left.get(name) != right.get(name)))


def _read(path: str, shown: Sequence[str]) -> EnvFileFound:
    try:
        values = _values(path)
    except FileNotFoundError:
        return EnvFileFound(path, problem="missing")
    except OSError as error:
        return EnvFileFound(path, problem=error.strerror or str(error))
    except ValueError:
        return EnvFileFound(path, problem="is no text")
    return EnvFileFound(path, tuple(sorted(values)), {name: values[name] for name in shown if name in values})


def _values(path: str) -> dict[str, str]:
    """As Compose reads them: what stands behind a value as a comment is no part of it.

    Raises OSError; UnicodeDecodeError (a ValueError) when it is no text.
    """
    found = [_ASSIGNMENT.match(line) for line in Path(path).read_text().split("\n")]
    return {match[1]: _plain(match[2]) for match in found if match}


def _named(file: Path, directory: str) -> list[str]:
    """What stands behind `env_file:` in a Compose file. Compose itself no longer says it once it has read them."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return []
    found: list[str] = []
    indent = -1  # of the key whose list is being read
    for line in lines:
        key, item = _KEY.match(line), _ITEM.match(line)
        if key:
            value = _plain(key[2])
            indent = len(key[1]) if not value else -1
            found += _flow(value)
        elif indent >= 0 and item and len(item[1]) >= indent:
            found.append(_plain(item[2]))
        elif line.strip() and not line.strip().startswith("#") and not line.strip().startswith("required:"):
            indent = -1
    usable = [path for path in found if path and "$" not in path]
    return [path if path.startswith("/") else _joined(directory, path) for path in usable]


def _flow(value: str) -> list[str]:
    if value.startswith("[") and value.endswith("]"):
        return [_plain(part) for part in value[1:-1].split(",")]
    return [value] if value else []


def _plain(text: str) -> str:
    """A value without its quotes and without a comment behind it."""
    quoted = _QUOTED.match(text.strip())
    if quoted:
        return quoted[2]
    return re.sub(r"(\A|\s+)#.*\Z", "", text).strip()


def _joined(directory: str, path: str) -> str:
    parts: list[str] = []
    for part in f"{directory}/{path}".split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
