"""Plain numbers for the page's drawings: where bars lie, in hundredths of the width or of the height."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fabfile.record.model import Document
from fabfile.record.timeline import Course

_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Bar:
    """A bar of a plot: its left edge and width, and how high it is, all in percent."""

    x: float
    width: float
    height: float
    share: float = 0.0  # of its height that failed, in percent


def place(at: float, of: float) -> float:
    """Where a moment lies on an axis of `of` seconds, in percent."""
    return round(100 * min(max(at / of, 0.0), 1.0), 3) if of else 0.0


def span(course: Course, began: float, seconds: float) -> tuple[float, float]:
    """Left edge and width of a span in a course, in percent; never too thin to be seen."""
    left = place(began, course.seconds)
    return min(left, 99.6), max(round(place(began + seconds, course.seconds) - left, 3), 0.4)


def ticks(seconds: float, most: int = 7) -> list[float]:
    """Round moments for an axis, at most about as many as asked for."""
    if seconds <= 0:
        return [0.0]
    rough = seconds / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * n for n in _STEPS if power * n >= rough), power * 10)
    return [round(step * n, 6) for n in range(int(seconds / step) + 1)]


def requests(made: Document) -> tuple[list[Bar], int]:
    """A bar for each slice of time, as high as its requests are many; and how many the highest stands for."""
    top = max((moment.requests for moment in made.moments), default=0)
    return [
        Bar(x, width, 100 * moment.requests / top if top else 0, _share(moment.failures, moment.requests))
        for moment, (x, width) in zip(made.moments, _slots(made), strict=True)
    ], top


def waits(made: Document) -> tuple[list[Bar], float]:
    """A bar for each slice of time, as high as its longest wait; and the seconds that the highest stands for."""
    top = max((moment.longest_wait_ms for moment in made.moments), default=0)
    return [
        Bar(x, width, 100 * moment.longest_wait_ms / top if top else 0)
        for moment, (x, width) in zip(made.moments, _slots(made), strict=True)
    ], top / 1000


def _slots(made: Document) -> list[tuple[float, float]]:
    """Left edge and width of each slice on the plan's axis."""
    whole = made.courses[0].seconds
    lefts = [place(moment.at, whole) for moment in made.moments]
    rights = [place(moment.at + made.slice_seconds, whole) for moment in made.moments]
    return [(left, max(round(right - left, 3), 0)) for left, right in zip(lefts, rights, strict=True)]


def _share(failures: int, requests: int) -> float:
    return 100 * failures / requests if requests else 0.0
