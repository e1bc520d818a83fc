"""Runs one command of the tool and records when its parts began, on the monotonic clock.

    python -m bench.trace FILE status

FILE gets JSON: `connect`, `asked`, `answered` and `ended` in seconds of the monotonic clock.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARKS = ("connect", "asked", "answered", "ended")


def main(file: str, *words: str) -> int:
    """Run it and leave the times; returns the command's exit code."""
    import fabfile.cli
    from fabfile.remote.host import Host
    from fabfile.remote.link import Link

    times: dict[str, float] = {}

    def mark(cls: type, name: str, before: str = "", after: str = "") -> None:
        whole: Callable[..., Any] = getattr(cls, name)

        def call(*args: Any, **more: Any) -> Any:
            if before:
                times.setdefault(before, time.monotonic())
            result = whole(*args, **more)
            if after:
                times[after] = time.monotonic()
            return result

        setattr(cls, name, call)

    mark(Link, "begin", before="connect")
    mark(Link, "execute", after="asked")
    mark(Host, "survey", after="answered")
    code = 0
    try:
        fabfile.cli.cli(list(words), prog_name="islandflow")
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    times["ended"] = time.monotonic()
    Path(file).write_text(json.dumps(times))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
