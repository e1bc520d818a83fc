"""A deadline on the monotonic clock."""

from __future__ import annotations

import time


class Deadline:
    """So many seconds from now on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._began = time.monotonic()

    def extend(self, seconds: float) -> None:
        """Move the deadline by so many seconds."""
        self.seconds += seconds

    @property
    def elapsed(self) -> float:
        """Seconds since it was set."""
        return time.monotonic() - self._began

    @property
    def left(self) -> float:
        """Seconds until it passes; 0 when it has passed."""
        return max(0.0, self.seconds - self.elapsed)

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.elapsed >= self.seconds
