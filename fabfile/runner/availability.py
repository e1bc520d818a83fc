"""Asks the edge all through a plan, so that what the users felt is measured and not guessed.

It is no load: at most two questions to a hostname are under way, and it rests longer after an answer that took longer.
While requests are held two of its own wait; what somebody who came in between would have waited follows from theirs.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, TypedDict

from .system import http
from .system.machine import Served, StepFailed
from .wire.plan import Watch


class Felt(TypedDict):
    """What users got at one address. Waits and outages are in ms.

    `over_time` has requests, failures and the longest wait for each slice since the watch began, by when the requests
    were sent. Where none was sent because one was waiting, its wait is what was left of that one's.
    """

    requests: int
    failures: int
    longest_wait_ms: int
    outage_ms: int
    longest_outage_ms: int
    slice_ms: int
    over_time: list[tuple[int, int, int]]


class Sink(Protocol):
    """Where outages are told: the journal."""

    def write(self, event: str, step: str | None = None, /, **evidence: object) -> None:
        """Take one event. Raises StepFailed."""


Answer = tuple[str, float]  # what went wrong (empty when nothing did), and how long it took (seconds)

EVERY = 0.05  # seconds from an answer to the next request, at the least
SHARE = 4  # it rests so many times as long as the answer took …
RESTED = 0.5  # … but no longer than this (seconds)
AT_ONCE = 2  # requests under way to a hostname: one that hangs must not hide what the next one gets
HANGS = 1.0  # seconds after which the second one is sent beside the first
SLICE = 0.5  # seconds of a plan that share one count in `over_time`
MOST = 7200  # slices that are kept: an hour, longer than any plan takes; a soak has its own samples
_LATELY = 4096  # answers that are kept one by one


_ANY_CERTIFICATE = http.unverified()  # made once, since it is needed some ten times a second


class Watcher:
    """Requests every watched address until it is left; each outage is journaled as it ends."""

    def __init__(self, watches: tuple[Watch, ...], journal: Sink, every: float = EVERY) -> None:
        self._every = every  # seconds from an answer to the next request to that address, at the least
        self._tallies = [_Tally(watch, journal) for watch in watches]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._loop, args=(tally,)) for tally in self._tallies]

    def __enter__(self) -> Watcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def felt(self) -> dict[str, Felt]:
        """What users got, by watched address."""
        return {tally.watch.name: tally.summary() for tally in self._tallies}

    def served_since(self, moment: float) -> Served:
        """What users got from then (monotonic) until now, whoever has been waiting for longer left out."""
        found = [tally.since(moment) for tally in self._tallies]
        answers = [answer for some in found for answer in some]
        return Served(
            len(answers),
            sum(1 for error, _ in answers if error),
            max((seconds for _, seconds in answers), default=0.0),
            sum(1 for some in found if not some),
        )

    def _loop(self, tally: _Tally) -> None:
        pool = ThreadPoolExecutor(max_workers=AT_ONCE)
        asked: collections.deque[tuple[float, Future[Answer]]] = collections.deque()  # in the order they count
        while not self._stop.is_set():
            under_way = [started for started, answer in asked if not answer.done()]
            now, due = time.monotonic(), tally.rested(self._every)
            if under_way:
                due = max(due, under_way[0] + HANGS)
            pause = EVERY
            if len(under_way) < AT_ONCE and now < due:
                pause = min(EVERY, due - now)
            elif len(under_way) < AT_ONCE:
                asked.append((now, pool.submit(tally.ask)))
            while asked and asked[0][1].done():
                tally.count(asked[0][0], asked.popleft()[1].result())
            self._stop.wait(pause)
        pool.shutdown(wait=True)
        for started, answer in asked:
            tally.count(started, answer.result())
        tally.close()


def request(watch: Watch) -> str:
    """One request to the edge on this host, as the public would send it; empty when it was served.

    The certificate is not judged here: that is the public check's business.
    """
    try:
        answer = http.request(
            watch.host,
            watch.port,
            watch.path,
            seconds=watch.timeout,
            host=watch.domain,
            tls=_ANY_CERTIFICATE,
            body=http.Body.DRAIN,
        )
    except http.BadAnswer as error:
        return str(error)
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return "" if answer.status < 400 else f"answered {answer.status}"


class _Tally:
    def __init__(self, watch: Watch, journal: Sink) -> None:
        self.watch = watch
        self._journal = journal
        self._requests = 0
        self._failures = 0
        self._longest = 0.0
        self._began = time.monotonic()
        self._slices: list[tuple[int, int, int]] = []  # requests, failures, longest wait (ms)
        self._outages: list[float] = []
        self._since: float | None = None
        self._errors: dict[str, int] = {}
        self._waits: list[tuple[float, float]] = []  # those that outlasted their slice: sent, answered
        self._lately: collections.deque[tuple[float, Answer]] = collections.deque(maxlen=_LATELY)  # as they came
        self._mutex = threading.Lock()  # of `_lately`

    def ask(self) -> Answer:
        """One request."""
        started = time.monotonic()
        error = request(self.watch)
        now = time.monotonic()
        with self._mutex:
            self._lately.append((now, (error, now - started)))
        return error, now - started

    def rested(self, every: float) -> float:
        """When the next request may be sent (monotonic): the longer the last one took, the later."""
        with self._mutex:
            if not self._lately:
                return 0.0
            at, (_, seconds) = self._lately[-1]
        return at + max(every, min(SHARE * seconds, RESTED))

    def since(self, moment: float) -> list[Answer]:
        """The answers that came since then (monotonic)."""
        with self._mutex:
            return [answer for at, answer in self._lately if at >= moment]

    def count(self, started: float, answer: Answer) -> None:
        """Take one answer; they come in the order in which they were asked for."""
        error, seconds = answer
        self._requests += 1
        self._longest = max(self._longest, seconds)
        self._slice(started, bool(error), round(seconds * 1000))
        if error:
            self._failures += 1
            self._since = started if self._since is None else self._since
            self._errors[error] = self._errors.get(error, 0) + 1
        elif self._since is not None:
            self._end(started)

    def close(self) -> None:
        if self._since is not None:
            self._end(time.monotonic(), over=False)

    def summary(self) -> Felt:
        return {
            "requests": self._requests,
            "failures": self._failures,
            "longest_wait_ms": round(self._longest * 1000),
            "outage_ms": round(sum(self._outages) * 1000),
            "longest_outage_ms": round(max(self._outages, default=0.0) * 1000),
            "slice_ms": round(SLICE * 1000),
            "over_time": self._over_time(),
        }

    def _slice(self, started: float, failed: bool, ms: int) -> None:
        at = int((started - self._began) / SLICE)
        if at >= MOST:
            return
        self._slices += [(0, 0, 0)] * (at + 1 - len(self._slices))
        requests, failures, longest = self._slices[at]
        self._slices[at] = (requests + 1, failures + failed, max(longest, ms))
        if ms > SLICE * 1000:
            self._waits.append((started - self._began, started - self._began + ms / 1000))

    def _over_time(self) -> list[tuple[int, int, int]]:
        """The slices; those in which nobody was asked, since somebody waited, with what was left of that wait."""
        slices = list(self._slices)
        for sent, answered in self._waits:
            last = min(int(answered / SLICE), MOST - 1)
            slices += [(0, 0, 0)] * (last + 1 - len(slices))
            for at in range(int(sent / SLICE) + 1, last + 1):
                requests, failures, longest = slices[at]
                if not requests:
                    slices[at] = (0, failures, max(longest, round((answered - at * SLICE) * 1000)))
        return slices

    def _end(self, now: float, over: bool = True) -> None:
        assert self._since is not None
        seconds = now - self._since
        self._outages.append(seconds)
        errors, self._since, self._errors = self._errors, None, {}
        # What cannot be journaled is in the sum all the same, and this thread must go on asking.
        with contextlib.suppress(StepFailed):
            self._journal.write(
                "outage", watch=self.watch.name, lasted_ms=round(seconds * 1000), errors=errors, over=over
            )
