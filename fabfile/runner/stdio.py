"""What the runner says to the operator's machine, and how it keeps what comes from there."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from .system.files import put


def tell(line: dict[str, Any]) -> None:
    """Say one line, at once."""
    print(json.dumps(line), flush=True)


def keep(path: Path, content: bytes, sha256: str) -> None:
    """Store what was shipped, if it is what its name says: a connection may break off in the middle.

    Raises ValueError, OSError.
    """
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{path.name[:19]} arrived damaged; nothing was started")
    put(path, content, 0o600, "root", "root")


def keep_runner(root: Path, name: str) -> Path:
    """Store this very zipapp under its name, if it is not there yet, whole; where it is. Raises as `keep` does."""
    runner, sha256 = root / name, Path(name).stem.partition("-")[2]
    try:
        there = hashlib.sha256(runner.read_bytes()).hexdigest() == sha256
    except FileNotFoundError:
        there = False
    if not there:
        keep(runner, Path(sys.path[0]).read_bytes(), sha256)
    return runner
