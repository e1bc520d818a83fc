"""Computes the page's charts: positions and sizes of bars, in percent of the width or height."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fabfile.record.model import Document
from fabfile.record.timeline import Timeline

_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Bar:
    """A bar of a plot: its left edge and width, and how high it is, all in percent."""

    x: float
    width: float
    height: float
    share: float = 0.0  # of its height that failed, in percent


def position(at: float, length: float) -> float:
    """The position of a moment on an axis of `length` seconds, in percent."""
    return round(100 * min(max(at / length, 0.0), 1.0), 3) if length else 0.0


def span(timeline: Timeline, began: float, seconds: float) -> tuple[float, float]:
    """Left edge and width of a span on a timeline, in percent; wide enough to be visible."""
    left = position(began, timeline.seconds)
    return min(left, 99.6), max(round(position(began + seconds, timeline.seconds) - left, 3), 0.4)


def ticks(seconds: float, max_count: int = 7) -> list[float]:
    """Round moments for an axis, about `max_count` of them at most."""
    if seconds <= 0:
        return [0.0]
    min_step = seconds / max_count
    power = 10.0 ** math.floor(math.log10(min_step))
    step = next((power * n for n in _STEPS if power * n >= min_step), power * 10)
    return [round(step * n, 6) for n in range(int(seconds / step) + 1)]


def requests(document: Document) -> tuple[list[Bar], int]:
    """A bar for the number of requests in each slice of time; and the number that the highest stands for."""
    top = max((moment.requests for moment in document.moments), default=0)
    return [
        Bar(x, width, 100 * moment.requests / top if top else 0, _percent(moment.failures, moment.requests))
        for moment, (x, width) in zip(document.moments, _slots(document), strict=True)
    ], top


def waits(document: Document) -> tuple[list[Bar], float]:
    """A bar for the longest wait in each slice of time; and the seconds that the highest stands for."""
    top = max((moment.longest_wait_ms for moment in document.moments), default=0)
    return [
        Bar(x, width, 100 * moment.longest_wait_ms / top if top else 0)
        for moment, (x, width) in zip(document.moments, _slots(document), strict=True)
    ], top / 1000


def _slots(document: Document) -> list[tuple[float, float]]:
    """Left edge and width of each slice on the plan's axis."""
    seconds = document.courses[0].seconds
    lefts = [position(moment.at, seconds) for moment in document.moments]
    rights = [position(moment.at + document.slice_seconds, seconds) for moment in document.moments]
    return [(left, max(round(right - left, 3), 0)) for left, right in zip(lefts, rights, strict=True)]


def _percent(failures: int, requests: int) -> float:
    return 100 * failures / requests if requests else 0.0
