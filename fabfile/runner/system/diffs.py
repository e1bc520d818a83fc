"""Unified diffs without secrets."""

from __future__ import annotations

import difflib
import re
from typing import Union

MAX_DIFF_LINES = 400  # lines of one diff; a record is read by people

Diff = dict[str, Union[str, list[str]]]

# Our own files hold no secret, but what stood there before may.
SECRET_NAMES = r"secret|token|passw|credential|authorization|(?:api|private|access)[-_]?key"
_SECRET = re.compile(rf"^(?P<name>[-+ ].*?(?:{SECRET_NAMES})[\w-]*[\"']?\s*[=: ]\s*)\S.*$", re.IGNORECASE)


def diff(path: str, before: str, after: str, context: int = 2) -> Diff:
    """The path and lines of a diff: secrets masked, at most MAX_DIFF_LINES lines."""
    pair = before.splitlines(), after.splitlines()
    lines = [masked(line) for line in difflib.unified_diff(*pair, n=context, lineterm="")][2:]
    left_out = len(lines) - MAX_DIFF_LINES
    return {"path": path, "lines": [*lines[:MAX_DIFF_LINES], f"… {left_out} more lines"] if left_out > 0 else lines}


def masked(line: str) -> str:
    """A line of a diff without the value of a name that looks like a secret's."""
    return _SECRET.sub(r"\g<name>•••", line)
