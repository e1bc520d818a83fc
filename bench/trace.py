"""Runs one command of the tool and notes when its parts began, on the clock that all processes share.

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

    seen: dict[str, float] = {}

    def marked(cls: type, name: str, before: str = "", after: str = "") -> None:
        whole: Callable[..., Any] = getattr(cls, name)

        def call(*args: Any, **more: Any) -> Any:
            if before:
                seen.setdefault(before, time.monotonic())
            result = whole(*args, **more)
            if after:
                seen[after] = time.monotonic()
            return result

        setattr(cls, name, call)

    marked(Link, "begin", before="connect")
    marked(Link, "execute", after="asked")
    marked(Host, "survey", after="answered")
    code = 0
    try:
        fabfile.cli.cli(list(words), prog_name="islandflow")
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    seen["ended"] = time.monotonic()
    Path(file).write_text(json.dumps(seen))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
