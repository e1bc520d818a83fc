"""The names of the runtimes, as types for both machines."""

from __future__ import annotations

from typing import Final, Literal

Runtime = Literal["native", "docker"]
Owner = Literal["native", "docker", ""]  # empty: nobody owns the app, or the owner is unknown

RUNTIMES: Final[tuple[Runtime, ...]] = ("native", "docker")


def runtime_named(text: str) -> Owner:
    """The runtime of that name; empty for any other text, as a journal or a record may hold one."""
    return next((runtime for runtime in RUNTIMES if runtime == text), "")


def other(runtime: Runtime) -> Runtime:
    """The other one of the two."""
    return "docker" if runtime == "native" else "native"
