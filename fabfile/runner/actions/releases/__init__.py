"""A release of the native app: built beside what runs, begun and ended in the register, and switched to."""

from __future__ import annotations

from . import build, images, register, switch

__all__ = ["build", "images", "register", "switch"]
