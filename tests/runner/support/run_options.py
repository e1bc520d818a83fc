"""What `Machine.run` takes besides the command: a test's machine that passes it on has the same signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict


class RunOptions(TypedDict, total=False):
    """The options of `Machine.run`."""

    user: str | None
    timeout: float
    stdin: bytes | None
    ok: tuple[int, ...] | None
    env: Mapping[str, str] | None
    cwd: str | None
