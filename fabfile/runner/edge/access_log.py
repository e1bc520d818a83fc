"""Counts the answers in the access logs of NPM's proxy hosts while NPM writes them."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import IO

from ..system.machine import StepFailed
from ..wire.edge import EdgeRef, has_name
from ..wire.soak import Served
from . import database

# NPM's format: [time] cache-status upstream-status STATUS - METHOD scheme host "uri" …
# After several upstreams there are as many upstream statuses; ours is the last number before the dash.
_STATUS = re.compile(rb'^\[[^\]]*\] [^"\[]*?(\d{3}) - [A-Z]')


class EdgeLogs:
    """Counts our hosts' answers from the moment of its construction."""

    def __init__(self, ref: EdgeRef) -> None:
        self._ref = ref
        self._tails: dict[str, _LogTail] = {}
        self.new_counts()

    def new_counts(self) -> dict[str, Served]:
        """Return domain → counts since the last call; without the hosts whose log, or row, cannot be read."""
        try:
            rows = database.live_rows(self._ref.database)
        except StepFailed:
            return {}
        counts = {}
        for domain in self._ref.domains:
            number = next((row.id for row in rows if has_name(row.names, domain)), None)
            tail = self._tails.setdefault(domain, _LogTail())
            lines = tail.new_lines(Path(self._ref.root) / f"data/logs/proxy-host-{number}_access.log")
            if lines is not None:
                counts[domain] = count(lines)
        return counts

    def close(self) -> None:
        """Close the logs."""
        for tail in self._tails.values():
            tail.close()


def count(lines: list[bytes]) -> Served:
    """Count the answers in log lines, and the 5xx among them; lines in another format than NPM's are left out."""
    statuses = [int(match[1]) for match in map(_STATUS.match, lines) if match]
    return Served(len(statuses), sum(500 <= status <= 599 for status in statuses))


class _LogTail:
    """Reads whole lines as they are appended to a file, which logrotate may replace by another."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._opened_once = False

    def new_lines(self, path: Path) -> list[bytes] | None:
        """Return the lines since the last call, none at the first; None while the file is missing or unreadable."""
        first, self._opened_once = not self._opened_once, True
        try:
            inode = path.stat().st_ino
            content = self._rest_of_file()  # what came before it was rotated
            if self._file is None or os.fstat(self._file.fileno()).st_ino != inode:
                self.close()
                self._file = open(path, "rb")  # noqa: SIM115  it is read from for hours
                self._file.seek(0, os.SEEK_END if first else os.SEEK_SET)
                content += self._rest_of_file()
            elif os.fstat(self._file.fileno()).st_size < self._file.tell():  # emptied in its place
                self._file.seek(0)
                content += self._rest_of_file()
        except OSError:
            return None
        *lines, self._rest = (self._rest + content).split(b"\n")
        return lines

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _rest_of_file(self) -> bytes:
        return self._file.read() if self._file is not None else b""
