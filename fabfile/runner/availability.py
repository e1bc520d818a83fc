"""Measures what users get: sends requests through the edge all through a plan.

It is no load: at most two requests to a hostname are in flight, and the next one comes later after a slow answer.
While requests are held two of its own wait; the wait of a user who came in between follows from theirs.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Protocol

from .system import http
from .system.machine import Served, StepFailed
from .wire.edge import NO_ANSWER
from .wire.events import Current, Measured
from .wire.plan import Watch


class Sink(Protocol):
    """Where outages are written: the journal."""

    def write(self, event: str, step: str | None = None, /, **evidence: object) -> None:
        """Write one event. Raises StepFailed."""


Answer = tuple[str, float]  # what went wrong (empty when nothing did), and how long it took (seconds)

INTERVAL_SECONDS = 0.05  # from an answer to the next request, at the least
REST_FACTOR = 4  # the pause is so many times as long as the answer took …
MAX_REST_SECONDS = 0.5  # … but no longer than this
MAX_IN_FLIGHT = 2  # requests to a hostname: one that hangs must not hide the next one's answer
SECOND_REQUEST_SECONDS = 1.0  # after which the second one is sent beside the first
SLICE_SECONDS = 0.5  # of a plan that share one count in `over_time`
WAITING_SECONDS = 0.5  # from which on a request without an answer counts as waiting
MAX_SLICES = 7200  # an hour, longer than any plan takes; a soak has its own samples
MAX_RECENT_ANSWERS = 4096  # that are kept one by one


_UNVERIFIED = http.unverified()  # made once, since it is needed some ten times a second


class Watcher:
    """Sends requests to every watched address within its `with` block; journals each outage as it ends."""

    def __init__(self, watches: tuple[Watch, ...], journal: Sink, interval: float = INTERVAL_SECONDS) -> None:
        self._interval = interval  # seconds from an answer to the next request to that address, at the least
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

    def impact(self) -> dict[str, Measured]:
        """Return what users got, by watched address."""
        return {tally.watch.name: tally.summary() for tally in self._tallies}

    def now(self) -> dict[str, Current]:
        """Return what users get at the moment, by watched address; it costs the same however long the plan takes."""
        return {tally.watch.name: tally.current() for tally in self._tallies}

    def served_since(self, moment: float) -> Served:
        """Return what users got from `moment` (monotonic) until now, without requests that still wait."""
        by_tally = [tally.answers_since(moment) for tally in self._tallies]
        answers = [answer for answers_of_one in by_tally for answer in answers_of_one]
        return Served(
            len(answers),
            sum(1 for error, _ in answers if error),
            max((seconds for _, seconds in answers), default=0.0),
            sum(1 for answers_of_one in by_tally if not answers_of_one),
        )

    def _loop(self, tally: _Tally) -> None:
        pool = ThreadPoolExecutor(max_workers=MAX_IN_FLIGHT)
        requests: collections.deque[tuple[float, Future[Answer]]] = collections.deque()  # in the order they count
        while not self._stop.is_set():
            pending = tally.pending = [started for started, answer in requests if not answer.done()]
            now, due = time.monotonic(), tally.next_due(self._interval)
            if pending:
                due = max(due, pending[0] + SECOND_REQUEST_SECONDS)
            pause = INTERVAL_SECONDS
            if len(pending) < MAX_IN_FLIGHT and now < due:
                pause = min(INTERVAL_SECONDS, due - now)
            elif len(pending) < MAX_IN_FLIGHT:
                requests.append((now, pool.submit(tally.send)))
            while requests and requests[0][1].done():
                tally.count(requests[0][0], requests.popleft()[1].result())
            self._stop.wait(pause)
        pool.shutdown(wait=True)
        for started, answer in requests:
            tally.count(started, answer.result())
        tally.close()


def request(watch: Watch) -> str:
    """Send one request to the edge on this host, as the public would; returns the error, empty when it was served.

    The certificate is not verified here: the public checks do that.
    """
    try:
        answer = http.request(
            watch.host,
            watch.port,
            watch.path,
            seconds=watch.timeout,
            host=watch.domain,
            tls=_UNVERIFIED,
            body=http.Body.DRAIN,
        )
    except OSError as error:
        if http.is_unanswered(error) and NO_ANSWER in watch.refusals:
            return ""
        if isinstance(error, http.BadAnswer):
            return str(error)
        return f"{type(error).__name__}: {error}"
    return "" if answer.status < 400 or answer.status in watch.refusals else f"answered {answer.status}"


class _Tally:
    def __init__(self, watch: Watch, journal: Sink) -> None:
        self.watch = watch
        self._journal = journal
        self._requests = 0
        self._failures = 0
        self._longest_wait = 0.0
        self._began = time.monotonic()
        self._slices: list[tuple[int, int, int]] = []  # requests, failures, longest wait (ms)
        self._outages: list[float] = []
        self._outage_began: float | None = None
        self._errors: dict[str, int] = {}
        self._waits: list[tuple[float, float]] = []  # those that outlasted their slice: sent, answered
        self._recent: collections.deque[tuple[float, Answer]] = collections.deque(maxlen=MAX_RECENT_ANSWERS)
        self._mutex = threading.Lock()  # of `_recent`
        self.pending: list[float] = []  # when each request was sent that has no answer (monotonic), oldest first

    def send(self) -> Answer:
        """Send one request and return its answer."""
        started = time.monotonic()
        error = request(self.watch)
        now = time.monotonic()
        with self._mutex:
            self._recent.append((now, (error, now - started)))
        return error, now - started

    def next_due(self, interval: float) -> float:
        """Return when the next request may be sent (monotonic): the longer the last one took, the later."""
        with self._mutex:
            if not self._recent:
                return 0.0
            at, (_, seconds) = self._recent[-1]
        return at + max(interval, min(REST_FACTOR * seconds, MAX_REST_SECONDS))

    def answers_since(self, moment: float) -> list[Answer]:
        """Return the answers that came since `moment` (monotonic)."""
        with self._mutex:
            return [answer for at, answer in self._recent if at >= moment]

    def count(self, started: float, answer: Answer) -> None:
        """Count one answer; they come in the order in which their requests were sent."""
        error, seconds = answer
        self._requests += 1
        self._longest_wait = max(self._longest_wait, seconds)
        self._slice(started, bool(error), round(seconds * 1000))
        if error:
            self._failures += 1
            self._outage_began = started if self._outage_began is None else self._outage_began
            self._errors[error] = self._errors.get(error, 0) + 1
        elif self._outage_began is not None:
            self._end(started)

    def close(self) -> None:
        if self._outage_began is not None:
            self._end(time.monotonic(), over=False)

    def summary(self) -> Measured:
        return {
            "requests": self._requests,
            "failures": self._failures,
            "longest_wait_ms": round(self._longest_wait * 1000),
            "outage_ms": round(sum(self._outages) * 1000),
            "longest_outage_ms": round(max(self._outages, default=0.0) * 1000),
            "slice_ms": round(SLICE_SECONDS * 1000),
            "over_time": self._over_time(),
        }

    def current(self) -> Current:
        waits = [time.monotonic() - started for started in self.pending]
        return {
            "requests": self._requests,
            "failures": self._failures,
            "waiting": sum(1 for seconds in waits if seconds >= WAITING_SECONDS),
            "longest_wait_ms": round(max(self._longest_wait, *waits, 0.0) * 1000),
        }

    def _slice(self, started: float, failed: bool, ms: int) -> None:
        at = int((started - self._began) / SLICE_SECONDS)
        if at >= MAX_SLICES:
            return
        self._slices += [(0, 0, 0)] * (at + 1 - len(self._slices))
        requests, failures, longest = self._slices[at]
        self._slices[at] = (requests + 1, failures + failed, max(longest, ms))
        if ms > SLICE_SECONDS * 1000:
            self._waits.append((started - self._began, started - self._began + ms / 1000))

    def _over_time(self) -> list[tuple[int, int, int]]:
        """Return the slices; one without a request, because another waited, has the rest of that wait."""
        slices = list(self._slices)
        for sent, answered in self._waits:
            last = min(int(answered / SLICE_SECONDS), MAX_SLICES - 1)
            slices += [(0, 0, 0)] * (last + 1 - len(slices))
            for at in range(int(sent / SLICE_SECONDS) + 1, last + 1):
                requests, failures, longest = slices[at]
                if not requests:
                    slices[at] = (0, failures, max(longest, round((answered - at * SLICE_SECONDS) * 1000)))
        return slices

    def _end(self, now: float, over: bool = True) -> None:
        assert self._outage_began is not None
        seconds = now - self._outage_began
        self._outages.append(seconds)
        errors, self._outage_began, self._errors = self._errors, None, {}
        # What cannot be journaled is in the sum all the same, and this thread must go on with its requests.
        with contextlib.suppress(StepFailed):
            self._journal.write(
                "outage", watch=self.watch.name, lasted_ms=round(seconds * 1000), errors=errors, over=over
            )
