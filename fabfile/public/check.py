"""A question asked from outside and its answer: what everything else here is made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import requests
from websockets.exceptions import WebSocketException


class Refused(Exception):
    """An answer that is not what it should be, in words."""


class Worrying(str):
    """Evidence that is good, but of which the operator must know."""


@dataclass(frozen=True)
class Answer:
    """What a question got by one way; `ms` is how long it took."""

    way: str
    ok: bool
    text: str
    ms: int
    warning: bool = False


@dataclass(frozen=True)
class Check:
    """One question, judged by its answers.

    With `warning` it is good, but not for long or not by every way. A hand-over is confirmed without a check that is
    not `vital`. `fault` says whose fault a bad one is, where two ways could tell: "origin", "DNS or CDN" or "pinned".
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
    """How a check stands, as the first character of its line."""
    if not check.ok:
        return "✗"
    return "!" if check.warning else "✓"


def timed(way: str, ask: Callable[[], str]) -> Answer:
    """Ask, and take whatever goes wrong on the way for a bad answer."""
    started = time.monotonic()
    try:
        ok, text = True, ask()
    except (Refused, requests.RequestException, WebSocketException, OSError) as error:
        ok, text = False, plain(error)
    ms = round((time.monotonic() - started) * 1000)
    return Answer(way, ok, text, ms, warning=isinstance(text, Worrying))


def plain(error: BaseException) -> str:
    """The innermost reason in words: libraries wrap it several times over."""
    if isinstance(error, Refused):
        return str(error)
    while inner := error.__cause__ or error.__context__:
        error = inner
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection"
    if isinstance(error, TimeoutError):
        return "does not answer: timed out"
    return str(error) or type(error).__name__
