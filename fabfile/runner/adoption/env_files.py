"""Lists env files and the names of their variables. Values stay on the VPS, except those of requested names."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..system.diffs import SECRET_NAMES
from ..system.envfile import read_compose
from ..wire.adoption import EnvFileFound

_KEY = re.compile(r"^(\s*)(?:-\s+)?env_file:\s*(.*)$")
_SECRET = re.compile(rf"{SECRET_NAMES}|auth|(?:^|_)key", re.IGNORECASE)
_PLAIN = re.compile(r"[\w./:,+-]+")
_QUOTED = re.compile(r"""^(["'])(.*?)\1\s*(#.*)?$""")
_ITEM = re.compile(r"^(\s*)-\s+(?:path:\s*)?(.+)$")


def env_files(directory: str, files: Sequence[str], root: str, shown: Sequence[str]) -> tuple[EnvFileFound, ...]:
    """The env files that the Compose files name, then the checkout's own; each once."""
    listed = [path for file in files for path in _env_file_paths(Path(file), directory)]
    checkout_files = [f"{root}/.env"] if root else []
    paths = dict.fromkeys([*listed, *([f"{directory}/.env"] if not listed else []), *checkout_files])
    return tuple(_read(path, shown) for path in paths)


def differing(own: str, services: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """The variables that some service in Docker gets otherwise than by an env file; none if that can't be read."""
    try:
        here = read_compose(Path(own))
    except (OSError, ValueError):
        return ()
    return tuple(
        sorted({name for there in services for name in {*here, *there} if here.get(name) != there.get(name)} - {""})
    )


def in_file(names: Sequence[str], services: Sequence[Mapping[str, str]], files: Sequence[str]) -> dict[str, str]:
    """What the Compose file itself gives all services alike: plain, in no env file, and not secret by its name."""
    secret: set[str] = set()
    for path in files:
        with contextlib.suppress(OSError, ValueError):
            values = read_compose(Path(path))
            secret |= {*values, *values.values()}
    by_name = {name: {there.get(name) for there in services} for name in names if not _SECRET.search(name)}
    alike = {name: value for name, values in by_name.items() if len(values) == 1 for value in values if value}
    return {name: value for name, value in alike.items() if not secret & {name, value} and _PLAIN.fullmatch(value)}


def _read(path: str, shown: Sequence[str]) -> EnvFileFound:
    try:
        values = read_compose(Path(path))
    except FileNotFoundError:
        return EnvFileFound(path, problem="missing")
    except OSError as error:
        return EnvFileFound(path, problem=error.strerror or str(error))
    except UnicodeDecodeError:
        return EnvFileFound(path, problem="is no text")
    except ValueError as error:
        return EnvFileFound(path, problem=f"Compose does not take it: {error}")
    return EnvFileFound(path, tuple(sorted(values)), {name: values[name] for name in shown if name in values})


def _env_file_paths(file: Path, directory: str) -> list[str]:
    """The paths under `env_file:` in a Compose file, which `docker compose config` leaves out."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return []
    paths: list[str] = []
    indent = -1  # of the key whose list is being read
    for line in lines:
        key, item = _KEY.match(line), _ITEM.match(line)
        if key:
            value = _unquoted(key[2])
            indent = len(key[1]) if not value else -1
            paths += _flow(value)
        elif indent >= 0 and item and len(item[1]) >= indent:
            paths.append(_unquoted(item[2]))
        elif line.strip() and not line.strip().startswith("#") and not line.strip().startswith("required:"):
            indent = -1
    usable = [path for path in paths if path and "$" not in path]
    return [path if path.startswith("/") else _join(directory, path) for path in usable]


def _flow(value: str) -> list[str]:
    if value.startswith("[") and value.endswith("]"):
        return [_unquoted(part) for part in value[1:-1].split(",")]
    return [value] if value else []


def _unquoted(text: str) -> str:
    """A value without its quotes and without a comment behind it."""
    quoted = _QUOTED.match(text.strip())
    if quoted:
        return quoted[2]
    return re.sub(r"(\A|\s+)#.*\Z", "", text).strip()


def _join(directory: str, path: str) -> str:
    parts: list[str] = []
    for part in f"{directory}/{path}".split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
