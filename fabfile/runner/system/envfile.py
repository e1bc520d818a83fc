"""Reads an env file the way systemd and Compose agree on: KEY=VALUE lines, quotes, comments."""

from __future__ import annotations

from pathlib import Path


def read_env(path: Path) -> dict[str, str]:
    """Name → value of an env file. Raises OSError; UnicodeDecodeError (a ValueError) when it is no text."""
    return parse_env(path.read_text())


def parse_env(text: str) -> dict[str, str]:
    """Name → value; lines that are no assignment are passed over, as systemd does."""
    values: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if equals and name and not name.startswith(("#", ";")):
            values[name.strip()] = _unquoted(value.strip())
    return values


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
