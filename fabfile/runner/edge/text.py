"""Generated files as text, byte for byte."""

from __future__ import annotations

import hashlib


def decoded(content: bytes) -> str:
    """A file's text such that `encoded` gives the very same bytes again."""
    return content.decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    """The bytes of a text that `decoded` made."""
    return text.encode("utf-8", "surrogateescape")


def digest(text: str) -> str:
    """SHA-256 of a text that `decoded` made."""
    return hashlib.sha256(encoded(text)).hexdigest()
