"""The log lines of the owner's services and servers in the order of their time: those that there are, and new ones."""

from __future__ import annotations

import heapq
import os
import queue
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Union

from ..stdio import ALIVE_SECONDS, emit
from ..system.machine import Machine, StepFailed, failure_detail
from ..wire import shape
from ..wire.codec import decode
from .owner import of_owner
from .programs import Programs
from .requests import LogsRequest
from .sources import Entry, Source, sources

MOST_WAITING = 1000  # entries that wait to be printed; whatever logs more waits itself
_ORDER_SECONDS = 0.1  # in which new lines of several sources are gathered, to be in the order of their time
_AGAIN_SECONDS = 1.0  # until a source that ended, as a container that restarts, is read again

Item = Union[Entry, Exception, None]  # None: there will be no more


def logs(root: Path, arguments: Sequence[str], stdin: IO[bytes]) -> int:
    """Print the owner, then each log line that the request on standard input names."""
    request: LogsRequest = decode(shape.parse(stdin.readline()))
    machine = Machine(root)
    owner, workloads = of_owner(machine, request.workloads, request.owner_file, request.project)
    try:
        with _ending_by_signals(), Programs() as programs:
            found, silent = sources(machine, workloads, programs)
            emit({"runtime": owner, "silent": silent})
            reader = Reader(request, found)
            threading.Thread(target=reader.fill, daemon=True).start()
            _print(reader)
    except LookupError as error:
        raise StepFailed(f"a user or a container is not there: {error}") from error
    except BrokenPipeError:  # nobody reads any more; at its end Python would try to write again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


class Reader:
    """Reads all sources, and puts what matches into `items`."""

    def __init__(self, request: LogsRequest, found: Sequence[Source]) -> None:
        self.items: queue.Queue[Item] = queue.Queue(MOST_WAITING)
        self.following = False
        self._request = request
        self._sources = found
        self._pattern = re.compile(request.pattern)
        self._began = time.time()
        self._last: dict[Source, float] = {}  # when the last line was logged that was read of it
        self._recent: deque[Entry] = deque(maxlen=MOST_WAITING)  # the last ones that were put in

    def fill(self) -> None:
        """Put in what there is, then what comes, where that was requested; an error ends it."""
        try:
            for entry in self._past():
                self._recent.append(entry)
                self.items.put(entry)
            if not self._request.follow:
                self.items.put(None)
                return
            self.following = True
            for source in self._sources:
                recent = deque(self._recent, maxlen=MOST_WAITING)
                threading.Thread(target=self._follow, args=(source, recent), daemon=True).start()
        except Exception as error:  # noqa: BLE001  it is raised where the lines are printed
            self.items.put(error)

    def _past(self) -> Iterable[Entry]:
        since, lines = self._request.since, self._request.lines
        earliest = self._began - since if since else 0.0
        each = [self._noted(source, source.past(earliest, lines, self._matches)) for source in self._sources]
        merged = heapq.merge(*each, key=lambda entry: entry.time)
        return deque(merged, maxlen=lines) if lines else merged

    def _noted(self, source: Source, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            self._last[source] = entry.time
            yield entry

    def _follow(self, source: Source, recent: deque[Entry]) -> None:
        """Put in what comes of a source, which is read again where it ends; its errors as well.

        What is `recent` it may begin with.
        """
        since = max(self._began, self._last.get(source, 0.0))
        while True:
            try:
                for entry in source.coming(since):
                    since = max(since, entry.time)
                    if entry not in recent and self._matches(entry):
                        recent.append(entry)
                        self.items.put(entry)
            except (StepFailed, OSError) as error:
                self.items.put(error)
            time.sleep(_AGAIN_SECONDS)

    def _matches(self, entry: Entry) -> bool:
        return bool(self._pattern.search(entry.text))


def _print(reader: Reader) -> None:
    """Print what the reader puts in, until there will be no more. Raises its first error, unless it follows."""
    problems: set[str] = set()
    while True:
        batch = _batch(reader)
        if not batch:
            emit({"alive": True})
        for entry in sorted((item for item in batch if isinstance(item, Entry)), key=lambda item: item.time):
            emit(entry._asdict())
        for error in (item for item in batch if isinstance(item, Exception)):
            if not reader.following:
                raise error
            problem = failure_detail(error)
            if problem not in problems:  # it is tried again and again
                problems.add(problem)
                emit({"problem": problem})
        if None in batch:
            return


def _batch(reader: Reader) -> list[Item]:
    """What was put in; several items where they come at once, none where nothing has come for a while."""
    try:
        batch = [reader.items.get(timeout=ALIVE_SECONDS)]
    except queue.Empty:
        return []
    if reader.following:
        time.sleep(_ORDER_SECONDS)
    while len(batch) < MOST_WAITING and not reader.items.empty():
        batch.append(reader.items.get_nowait())
    return batch


@contextmanager
def _ending_by_signals() -> Iterator[None]:
    """Within the block a signal that would end the process raises, so that what it has started ends first."""

    def leave(number: int, frame: object) -> None:
        raise BrokenPipeError(f"signal {number}")

    before = [(number, signal.signal(number, leave)) for number in (signal.SIGHUP, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
