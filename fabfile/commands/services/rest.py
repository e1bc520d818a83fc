"""The words behind --, which a task gets as they are."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Final

from fabfile.errors import UsageError

_REST: Final[ContextVar[tuple[str, ...] | None]] = ContextVar("rest", default=None)  # as Click has it


@contextlib.contextmanager
def rest_is(words: Sequence[str]) -> Iterator[None]:
    """Within the block `rest_of_line` returns these words."""
    token = _REST.set(tuple(words))
    try:
        yield
    finally:
        _REST.reset(token)


def takes_rest(function: Callable[..., None]) -> Callable[..., None]:
    """Have a task take the words behind -- as they are; goes below `task`."""
    function.__dict__["takes_rest"] = True
    return function


def rest_of_line() -> tuple[str, ...]:
    """The words behind --. Raises UsageError under `fab`, which would run them on the VPS by itself.

    Invoke joins them with spaces, and what was one word would become several: they are read where it has them from.
    """
    given = _REST.get()
    if given is not None:
        return given
    words = tuple(sys.argv[sys.argv.index("--") + 1 :]) if "--" in sys.argv else ()
    if words and os.path.basename(sys.argv[0]) == "fab":
        raise UsageError(
            "fab itself runs what stands behind --, outside of any service",
            next_step="Use another command: islandflow exec --service SERVICE -- COMMAND, or inv exec.",
        )
    return words
