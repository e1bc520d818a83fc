"""Reads an action's snapshot, which it recorded before it acted, from a journal's plain JSON."""

from __future__ import annotations

from collections.abc import Mapping

from ..system.machine import StepFailed

Before = Mapping[str, object]  # by the names in the action's own `snapshot`


def text(before: Before, key: str) -> str:
    """Return the text of that name, which may be empty. Raises StepFailed when none was recorded."""
    value = _value(before, key)
    if not isinstance(value, str):
        raise StepFailed(f"what the step recorded before it acted is no text: {key}")
    return value


def number(before: Before, key: str) -> int:
    """Return the number of that name. Raises StepFailed when none was recorded."""
    value = _value(before, key)
    if not isinstance(value, int):
        raise StepFailed(f"what the step recorded before it acted is no number: {key}")
    return value


def texts(before: Before, key: str) -> list[str]:
    """Return the texts of that name, in their order. Raises StepFailed when none were recorded."""
    return [str(item) for item in rows(before, key)]


def table(before: Before, key: str) -> dict[str, object]:
    """Return the table of that name. Raises StepFailed when none was recorded."""
    value = _value(before, key)
    if not isinstance(value, dict):
        raise StepFailed(f"what the step recorded before it acted is no table: {key}")
    return {str(name): item for name, item in value.items()}


def rows(before: Before, key: str) -> list[object]:
    """Return the list of that name, in its order. Raises StepFailed when none was recorded."""
    value = _value(before, key)
    if not isinstance(value, (list, tuple)):
        raise StepFailed(f"what the step recorded before it acted is no list: {key}")
    return list(value)


def _value(before: Before, key: str) -> object:
    if key not in before:
        raise StepFailed(f"the step's start in the journal lacks what was there before: {key} is missing")
    return before[key]
