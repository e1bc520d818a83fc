"""What Cloudflare's v4 API answers: one envelope around every result, with numbered errors and pages.

As its reference documents them, and as the pages and error chains of real answers show.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """What all answers share: they can't be changed, and fields that nobody here asks for are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Problem(Answer):
    """An error in Cloudflare's own words; the chain says what is behind it."""

    code: int
    message: str
    error_chain: tuple[Problem, ...] = ()

    def __str__(self) -> str:
        behind = f" ({'; '.join(map(str, self.error_chain))})" if self.error_chain else ""
        return f"{self.code} {self.message}{behind}"

    @property
    def codes(self) -> Iterator[int]:
        """Its own code and those of what is behind it."""
        yield self.code
        for problem in self.error_chain:
            yield from problem.codes


class Pages(Answer):
    """Which page of how many this is."""

    page: int = 1
    total_pages: int = 1


class Envelope(Answer):
    """Every answer, a refusal too."""

    success: bool
    errors: tuple[Problem, ...] = ()
    result: Any = None
    result_info: Pages | None = None


class Zone(Answer):
    """A domain at Cloudflare; until its `status` is active other name servers answer for it."""

    id: str
    name: str
    status: str


class Record(Answer):
    """A DNS record as it is. `ttl` is in seconds; 1 is automatic, as is every proxied record's."""

    id: str
    type: str
    name: str
    content: str = ""
    proxied: bool = False
    ttl: int

    def __str__(self) -> str:
        return f"{self.name} {self.type} {self.content}, {posture(self.proxied)}, TTL {seconds(self.ttl)}"


def posture(proxied: bool) -> str:
    """The word for it: proxied, or dns-only."""
    return "proxied" if proxied else "dns-only"


def seconds(ttl: int) -> str:
    """A TTL in words."""
    return "automatic" if ttl == 1 else f"{ttl} s"
