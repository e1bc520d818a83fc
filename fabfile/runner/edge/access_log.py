"""The answers in the access logs of NPM's proxy hosts, counted as they are written."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import IO

from ..system.machine import StepFailed
from ..wire.edge import EdgeRef
from ..wire.soak import Served
from . import database

# NPM's format: [time] cache-status upstream-status STATUS - METHOD scheme host "uri" …
# After several upstreams there are as many upstream statuses; ours is the last number before the dash.
_STATUS = re.compile(rb'^\[[^\]]*\] [^"\[]*?(\d{3}) - [A-Z]')


class EdgeLogs:
    """Counts what our hosts answered, from the moment this is made."""

    def __init__(self, ref: EdgeRef) -> None:
        self._ref = ref
        self._tails: dict[str, _Tail] = {}
        self.more()

    def more(self) -> dict[str, Served]:
        """Domain → what was added since the last time; hosts whose log, or row, cannot be read are left out."""
        try:
            rows = database.live_rows(self._ref.database)
        except StepFailed:
            return {}
        found = {}
        for domain in self._ref.domains:
            number = next((row.id for row in rows if domain in row.names), None)
            tail = self._tails.setdefault(domain, _Tail())
            lines = tail.more(Path(self._ref.root) / f"data/logs/proxy-host-{number}_access.log")
            if lines is not None:
                found[domain] = counted(lines)
        return found

    def close(self) -> None:
        """Close the logs."""
        for tail in self._tails.values():
            tail.close()


def counted(lines: list[bytes]) -> Served:
    """How many answers the lines tell, and how many 5xx. What is no line of NPM's counts as none."""
    statuses = [int(match[1]) for match in map(_STATUS.match, lines) if match]
    return Served(len(statuses), sum(500 <= status <= 599 for status in statuses))


class _Tail:
    """Whole lines at the end of a file that logrotate may put another in the place of."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._looked = False

    def more(self, path: Path) -> list[bytes] | None:
        """The lines since the last time, none the first time; None while there is no file, or none to be read."""
        first, self._looked = not self._looked, True
        try:
            inode = path.stat().st_ino
            read = self._read()  # what came before it was rotated
            if self._file is None or os.fstat(self._file.fileno()).st_ino != inode:
                self.close()
                self._file = open(path, "rb")  # noqa: SIM115  it is read from for hours
                self._file.seek(0, os.SEEK_END if first else os.SEEK_SET)
                read += self._read()
            elif os.fstat(self._file.fileno()).st_size < self._file.tell():  # emptied in its place
                self._file.seek(0)
                read += self._read()
        except OSError:
            return None
        *lines, self._rest = (self._rest + read).split(b"\n")
        return lines

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _read(self) -> bytes:
        return self._file.read() if self._file is not None else b""
