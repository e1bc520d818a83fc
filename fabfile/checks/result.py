"""What a look before a plan turns up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something preflight found: what it is and what to do about it; a warning does not refuse."""

    text: str
    fix: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.text}\n→ {self.fix}"
