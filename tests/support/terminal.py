"""Terminals: a stand-in that has all that is typed beforehand."""

from __future__ import annotations

import io
import sys

import pytest


class Terminal(io.StringIO):
    """A terminal; what is typed comes from its text."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def typed(text: str, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Have somebody type this; returns the terminal that shows the question."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(text))
    monkeypatch.setattr(sys, "stderr", shown)
    return shown
