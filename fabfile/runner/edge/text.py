"""Generated files as text, byte for byte."""

from __future__ import annotations

import hashlib


def to_text(content: bytes) -> str:
    """Decode a file's bytes so that `to_bytes` returns the very same bytes again."""
    return content.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """Encode a text that `to_text` returned."""
    return text.encode("utf-8", "surrogateescape")


def digest(text: str) -> str:
    """Return the SHA-256 of a text that `to_text` returned, in hexadecimal."""
    return hashlib.sha256(to_bytes(text)).hexdigest()
