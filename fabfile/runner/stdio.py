"""Writes lines to the operator's machine, and stores the contents that come from there."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from .system.files import put

# Without a line until one is printed all the same: the operator's machine takes silence for a lost connection, and the
# line shows whether anybody still reads.
ALIVE_SECONDS = 2.0


def emit(line: dict[str, Any]) -> None:
    """Print one JSON line, and flush it."""
    print(json.dumps(line), flush=True)


def store_verified(path: Path, content: bytes, sha256: str) -> None:
    """Store shipped contents if their hash is right: a connection may break off in the middle.

    Raises ValueError, OSError.
    """
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{path.name[:19]} arrived damaged; nothing was started, try again")
    put(path, content, 0o600, "root", "root")


def store_runner(root: Path, name: str) -> Path:
    """Store this very zipapp under its name unless it is there; returns the path of a copy that is compiled.

    Raises as `store_verified` does.
    """
    from . import bytecode  # only here: a survey needs nothing of it

    runner, sha256 = root / name, Path(name).stem.partition("-")[2]
    try:
        is_stored = hashlib.sha256(runner.read_bytes()).hexdigest() == sha256
    except FileNotFoundError:
        is_stored = False
    if not is_stored:
        store_verified(runner, Path(sys.path[0]).read_bytes(), sha256)
    return bytecode.compiled(root, runner)
