"""Repeats probes that decide whether a plan goes on, until they succeed or a deadline passes.

They run side by side, few at a time; a probe that has succeeded is not repeated. A slow attempt is not given up, since
a busy server answers late: a second one begins beside it, in case the first was lost, and the first answer counts.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable

from .deadline import Deadline
from .machine import POLL_SECONDS, Machine, Observation, StepFailed

SLOW_SECONDS = 2.0  # an attempt that takes longer is slow: another may begin beside it
MAX_CONCURRENT = 4  # attempts under way, the slow ones aside: probes must not be what keeps a server busy
MAX_ATTEMPTS = 2  # under way for one probe
RETRY_SECONDS = 0.25  # between a bad answer and the next attempt
MIN_ATTEMPT_SECONDS = 2.0  # for an attempt, however little time is left
REFUSAL_GRACE_SECONDS = 6.0  # after a refusal, for the servers that do not answer; longer than a connection may take
GLANCE_SECONDS = 0.5  # for answers in one of many polls

Attempt = Callable[[float], Observation]
"""One attempt of a probe, which may take so many seconds. `slow` in the result's data means: no answer in time."""


@dataclass
class _State:
    """The state of one probe; times are monotonic."""

    running: dict[int, float] = field(default_factory=dict)  # attempt → when it began
    unanswered_since: float | None = None
    answer: Observation | None = None
    answered_at: float = 0.0
    attempts: int = 0

    @property
    def good(self) -> bool:
        return self.answer is not None and self.answer.ok


class Poller:
    """Runs probes for so many seconds; answers and open attempts are kept from one poll to the next.

    So is in `shown` what its callers have seen once and need not see again: (whose it is, what).
    """

    def __init__(self, seconds: float) -> None:
        self.shown: set[tuple[str, str]] = set()
        self._deadline = Deadline(seconds)
        self._states: dict[str, _State] = {}
        self._change = threading.Condition()

    def poll(self, probes: Mapping[str, Attempt], wait: float = GLANCE_SECONDS) -> dict[str, Observation]:
        """The latest answer of each probe, after waiting at most `wait` seconds for those that are missing."""
        began, deadline = time.monotonic(), Deadline(wait)
        with self._change:
            while True:
                for key, attempt in probes.items():
                    self._start_attempt(key, attempt, began)
                missing = [key for key in probes if self._missing(key, began)]
                if not missing or deadline.passed:
                    return {key: self._result(key, began) for key in probes}
                self._change.wait(min(deadline.left, POLL_SECONDS))

    def _missing(self, key: str, since: float) -> bool:
        state = self._states[key]
        return not state.good and (state.answer is None or state.answered_at < since)

    def _start_attempt(self, key: str, attempt: Attempt, since: float) -> None:
        """Begin an attempt where the probe needs one and the limits allow it."""
        state = self._states.setdefault(key, _State())
        now = time.monotonic()
        resting = now < state.answered_at + RETRY_SECONDS
        if not self._missing(key, since) or resting or len(state.running) >= MAX_ATTEMPTS:
            return
        recent = [at for other in self._states.values() for at in other.running.values() if now - at < SLOW_SECONDS]
        # The second attempt of a probe begins later and later: many of them would only make the server slower.
        too_early = any(now - at < SLOW_SECONDS * state.attempts for at in state.running.values())
        if len(recent) >= MAX_CONCURRENT or too_early:
            return
        state.attempts += 1
        state.running[state.attempts] = now
        state.unanswered_since = now if state.unanswered_since is None else state.unanswered_since
        threading.Thread(target=self._attempt, args=(state, state.attempts, attempt), daemon=True).start()

    def _attempt(self, state: _State, number: int, attempt: Attempt) -> None:
        answer = _run_attempt(attempt, max(MIN_ATTEMPT_SECONDS, self._deadline.left))
        with self._change:
            del state.running[number]
            if not state.good and not answer.data.get("slow"):
                state.answer, state.answered_at, state.unanswered_since = answer, time.monotonic(), None
            self._change.notify_all()

    def _result(self, key: str, since: float) -> Observation:
        state = self._states[key]
        waited = time.monotonic() - (since if state.unanswered_since is None else state.unanswered_since)
        if state.answer is not None and (state.good or state.unanswered_since is None or waited < SLOW_SECONDS):
            return state.answer
        text = f"no answer yet after {waited:.1f} s"
        if state.answer is None:
            return Observation(False, text, {"slow": True})
        return Observation(False, f"{state.answer.text}; then {text}", {**state.answer.data, "slow": True})


def _run_attempt(attempt: Attempt, seconds: float) -> Observation:
    """The attempt's result; an error is a bad one."""
    try:
        return attempt(seconds)
    except socket.timeout:  # not TimeoutError before Python 3.10
        return Observation(False, f"no answer within {seconds:.1f} s", {"slow": True})
    except OSError as error:
        return Observation(False, str(error) or type(error).__name__)
    except (StepFailed, ValueError, LookupError) as error:
        return Observation(False, f"{type(error).__name__}: {error}")


def until_good(machine: Machine, probes: Mapping[str, Attempt], seconds: float) -> dict[str, Observation]:
    """Repeat the probes until all succeed or `seconds` have passed; returns the last result of each.

    Where answers are merely late when time is up, and users are served meanwhile, they have as long again.
    """
    began = time.monotonic()
    poller = Poller(2 * seconds)
    last: dict[str, Observation] = {}

    def poll() -> Observation:
        last.update(poller.poll(probes))
        failing = [answer for answer in last.values() if not answer.ok]
        # A timeout shows later than a refusal, and the operator needs to know of both.
        slow = any(answer.data.get("slow") for answer in failing)
        complete = not slow or time.monotonic() - began > REFUSAL_GRACE_SECONDS
        return Observation(not failing, "", permanent=complete and any(answer.permanent for answer in failing))

    outcome = machine.wait(poll, seconds)
    good = outcome.ok
    if not good and not outcome.permanent:  # an attempt that has just begun has its minimum of time
        last.update(poller.poll(probes, MIN_ATTEMPT_SECONDS))
        good = all(answer.ok for answer in last.values())
    late = all(answer.ok or answer.data.get("slow") for answer in last.values())
    if not good and late and machine.served_since(began).well:
        machine.wait(poll, seconds)
    return last


def failures(machine: Machine, results: Mapping[str, Observation], since: float) -> str:
    """The failed probes in words, with what users got since then (monotonic); empty when all have succeeded."""
    failing: list[str] = [f"{key} {result.text}" for key, result in results.items() if not result.ok]
    if not failing:
        return ""
    users = str(machine.served_since(since))
    return "; ".join(dict.fromkeys(failing)) + (f" (meanwhile {users})" if users else "")
