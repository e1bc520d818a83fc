"""What an action recorded before it acted, read back from a journal's plain JSON."""

from __future__ import annotations

from collections.abc import Mapping

from ..system.machine import StepFailed

Before = Mapping[str, object]  # by the names that the action's own `snapshot` gave


def text(before: Before, key: str) -> str:
    """The text of that name; empty where it was. Raises StepFailed when none was recorded."""
    value = _recorded(before, key)
    if not isinstance(value, str):
        raise StepFailed(f"what the step recorded before it acted is no text: {key}")
    return value


def texts(before: Before, key: str) -> list[str]:
    """The texts of that name, in their order. Raises StepFailed when none were recorded."""
    return [str(item) for item in rows(before, key)]


def table(before: Before, key: str) -> dict[str, object]:
    """What was recorded under that name, by name. Raises StepFailed when nothing was."""
    value = _recorded(before, key)
    if not isinstance(value, dict):
        raise StepFailed(f"what the step recorded before it acted is no table: {key}")
    return {str(name): item for name, item in value.items()}


def rows(before: Before, key: str) -> list[object]:
    """What was recorded under that name, in its order. Raises StepFailed when nothing was."""
    value = _recorded(before, key)
    if not isinstance(value, (list, tuple)):
        raise StepFailed(f"what the step recorded before it acted is no list: {key}")
    return list(value)


def _recorded(before: Before, key: str) -> object:
    if key not in before:
        raise StepFailed(f"the step's start in the journal does not say what was there before: {key} is missing")
    return before[key]
