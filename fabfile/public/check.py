"""The answer to a probe from outside, and the check that it results in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import requests
from websockets.exceptions import WebSocketException


class Refused(Exception):
    """An answer is not what it should be; the message says why. `status` is the answer's, where it had one."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class WarningText(str):
    """Evidence of a success that the operator must be warned of."""


@dataclass(frozen=True)
class Answer:
    """The answer to a probe by one way; `ms` is how long it took."""

    way: str
    ok: bool
    text: str
    ms: int
    warning: bool = False


@dataclass(frozen=True)
class Check:
    """The verdict on one probe, from its answers.

    With `warning` it passes, but not for long or not by every way. A hand-over is confirmed without the checks that are
    not `vital`. `fault` says whose fault a failure is, where both ways were probed: "origin", "DNS or CDN" or "pinned".
    """

    name: str
    ok: bool
    text: str
    ms: int
    warning: bool = False
    vital: bool = True
    fault: str = ""
    answers: tuple[Answer, ...] = ()


def mark(check: Check) -> str:
    """The first character of a check's line: ✓, ! or ✗."""
    if not check.ok:
        return "✗"
    return "!" if check.warning else "✓"


def run_timed(way: str, probe: Callable[[], str]) -> Answer:
    """Run a probe and measure it; a failure on the way is a bad answer."""
    started = time.monotonic()
    try:
        ok, text = True, probe()
    except (Refused, requests.RequestException, WebSocketException, OSError) as error:
        ok, text = False, plain(error)
    ms = round((time.monotonic() - started) * 1000)
    return Answer(way, ok, text, ms, warning=isinstance(text, WarningText))


def is_unanswered(error: BaseException) -> bool:
    """Whether the connection was closed without an answer, as by nginx' `return 444`."""
    return isinstance(_innermost(error), (ConnectionResetError, EOFError))


def _innermost(error: BaseException) -> BaseException:
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def plain(error: BaseException) -> str:
    """The message of the innermost error: libraries wrap it several times over."""
    if isinstance(error, Refused):
        return str(error)
    error = _innermost(error)
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection"
    if isinstance(error, TimeoutError):
        return "does not answer: timed out"
    return str(error) or type(error).__name__
