"""Questions that decide whether a plan goes on: each has until a deadline, and a slow answer is a slow answer.

They are asked side by side, few at a time, and again until they are answered well; what was answered well is not asked
again. A try that takes long is not given up, since a server that has much to do answers late: a second one begins
beside it, in case the first was lost, and whichever is answered first counts.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable

from .deadline import Deadline
from .machine import POLL, Machine, Observation, StepFailed

SLOW = 2.0  # seconds after which a try is slow: then another may begin beside it
AT_ONCE = 4  # tries under way, the slow ones aside: our questions must not be what keeps a server busy
BESIDE = 2  # tries of one question
REST = 0.25  # seconds between an answer that is not good and the next try
LEAST = 2.0  # seconds that a try is given, however little time is left
HEARD = 6.0  # seconds after a refusal in which what nobody answers is found out: longer than a connection may take
GLANCE = 0.5  # seconds that one of many looks waits for answers

Ask = Callable[[float], Observation]
"""One try that may take so many seconds. An answer with `slow` in its data is none: nothing came in time."""


@dataclass
class _Asked:
    """One question so far: when its tries under way began, and the last answer."""

    began: dict[int, float] = field(default_factory=dict)
    waiting: float | None = None  # since when it has had no answer at all
    seen: Observation | None = None
    at: float = 0.0  # when that was answered
    tries: int = 0

    @property
    def good(self) -> bool:
        return self.seen is not None and self.seen.ok


class Inquiry:
    """Some questions for so many seconds, through as many looks at them as are made."""

    def __init__(self, seconds: float) -> None:
        self._deadline = Deadline(seconds)
        self._asked: dict[str, _Asked] = {}
        self._change = threading.Condition()

    def look(self, questions: Mapping[str, Ask], patience: float = GLANCE) -> dict[str, Observation]:
        """What each question is answered by now, having waited `patience` seconds for the answers that are missing."""
        began, deadline = time.monotonic(), Deadline(patience)
        with self._change:
            while True:
                for key, ask in questions.items():
                    self._may_try(key, ask, began)
                missing = [key for key in questions if self._missing(key, began)]
                if not missing or deadline.passed:
                    return {key: self._seen(key, began) for key in questions}
                self._change.wait(min(deadline.left, POLL))

    def _missing(self, key: str, since: float) -> bool:
        asked = self._asked[key]
        return not asked.good and (asked.seen is None or asked.at < since)

    def _may_try(self, key: str, ask: Ask, since: float) -> None:
        """Begin a try where the question needs one and there is room for it."""
        asked = self._asked.setdefault(key, _Asked())
        now = time.monotonic()
        if not self._missing(key, since) or now < asked.at + REST or len(asked.began) >= BESIDE:
            return
        young = [at for other in self._asked.values() for at in other.began.values() if now - at < SLOW]
        # The second try of one question begins later and later: a crowd of them would only make the server slower.
        if len(young) >= AT_ONCE or any(now - at < SLOW * asked.tries for at in asked.began.values()):
            return
        asked.tries += 1
        asked.began[asked.tries] = now
        asked.waiting = now if asked.waiting is None else asked.waiting
        threading.Thread(target=self._try, args=(asked, asked.tries, ask), daemon=True).start()

    def _try(self, asked: _Asked, number: int, ask: Ask) -> None:
        seen = _answered(ask, max(LEAST, self._deadline.left))
        with self._change:
            del asked.began[number]
            if not asked.good and not seen.data.get("slow"):
                asked.seen, asked.at, asked.waiting = seen, time.monotonic(), None
            self._change.notify_all()

    def _seen(self, key: str, since: float) -> Observation:
        asked = self._asked[key]
        waited = time.monotonic() - (since if asked.waiting is None else asked.waiting)
        if asked.seen is not None and (asked.good or asked.waiting is None or waited < SLOW):
            return asked.seen
        text = f"no answer yet after {waited:.1f} s"
        if asked.seen is None:
            return Observation(False, text, {"slow": True})
        return Observation(False, f"{asked.seen.text}; then {text}", {**asked.seen.data, "slow": True})


def _answered(ask: Ask, seconds: float) -> Observation:
    """The answer, whatever becomes of the question."""
    try:
        return ask(seconds)
    except socket.timeout:  # not TimeoutError before Python 3.10
        return Observation(False, f"no answer within {seconds:.1f} s", {"slow": True})
    except OSError as error:
        return Observation(False, str(error) or type(error).__name__)
    except (StepFailed, ValueError, LookupError) as error:
        return Observation(False, f"{type(error).__name__}: {error}")


def until_good(machine: Machine, questions: Mapping[str, Ask], seconds: float) -> dict[str, Observation]:
    """Ask until all are answered well, or time is up; what each was answered in the end, or that it was not.

    Where answers are merely missing when time is up, and users are served meanwhile, they have as long again.
    """
    began = time.monotonic()
    inquiry = Inquiry(2 * seconds)
    last: dict[str, Observation] = {}

    def look() -> Observation:
        last.update(inquiry.look(questions))
        bad = [seen for seen in last.values() if not seen.ok]
        # What nobody answers says so a moment later than what is refused, and the operator needs to know of both.
        heard = not any(seen.data.get("slow") for seen in bad) or time.monotonic() - began > HEARD
        return Observation(not bad, "", final=heard and any(seen.final for seen in bad))

    found = machine.wait(look, seconds)
    good = found.ok
    if not good and not found.final:  # a try that has just begun is given what it was promised
        last.update(inquiry.look(questions, LEAST))
        good = all(seen.ok for seen in last.values())
    late = all(seen.ok or seen.data.get("slow") for seen in last.values())
    if not good and late and machine.served_since(began).well:
        machine.wait(look, seconds)
    return last


def failures(machine: Machine, seen: Mapping[str, Observation], since: float) -> str:
    """What is not as it should be, in words, and what users got since then (monotonic); empty when all is well."""
    bad: list[str] = [f"{key} {found.text}" for key, found in seen.items() if not found.ok]
    if not bad:
        return ""
    users = str(machine.served_since(since))
    return "; ".join(dict.fromkeys(bad)) + (f" (meanwhile {users})" if users else "")
