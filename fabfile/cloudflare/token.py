"""The API token: where it comes from, how it stays secret, how long it lives."""

from __future__ import annotations

import getpass
import os
import re
import sys
from datetime import UTC, datetime
from typing import Final

import requests
from requests.auth import AuthBase

from fabfile import bug
from fabfile.cloudflare.schema import Answer
from fabfile.errors import UsageError

VARIABLE: Final = "CLOUDFLARE_API_TOKEN"
ADVICE: Final = "A temporary token is done with after this: roll or delete it at Cloudflare, My Profile, API Tokens."

_UNTOUCHED: Final = "Nothing was changed on the VPS, nor in DNS."
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")


class Secret(AuthBase):
    """A token that shows in no representation, log or traceback; requests puts it into the header by calling it."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._value}"
        return request

    def __repr__(self) -> str:
        return "Secret(***)"

    def masked(self, text: str) -> str:
        """The text with *** wherever it quotes the token."""
        return text.replace(self._value, "***")


def obtain() -> Secret:
    """The token of CLOUDFLARE_API_TOKEN, else the one that is typed in, unseen. Raises UsageError."""
    value = os.environ.get(VARIABLE, "").strip() or _prompt().strip()
    if not _PRINTABLE.fullmatch(value):
        raise UsageError(
            "the API token is empty" if not value else "the API token holds a blank or a character that none has",
            state=_UNTOUCHED,
            next_step=f"Copy the token as Cloudflare showed it, without quotes, into {VARIABLE}.",
        )
    return Secret(value)


def _prompt() -> str:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{VARIABLE} is not set, and there is no terminal to ask for the API token on",
            state=_UNTOUCHED,
            next_step=f"Set {VARIABLE} to a token with Zone:Read and DNS:Edit for the zone.",
        )
    try:
        return bug.mask(getpass.getpass("Cloudflare API token (not shown): "))
    except EOFError:
        return ""


class Token(Answer):
    """The state of a token at Cloudflare; a token without `expires_on` lives until somebody deletes it."""

    status: str
    expires_on: datetime | None = None
    not_before: datetime | None = None

    @property
    def good(self) -> bool:
        """Whether it can be used now."""
        now = datetime.now(UTC)
        begun = self.not_before is None or self.not_before <= now
        return self.status == "active" and begun and (self.expires_on is None or now < self.expires_on)

    def describe(self) -> str:
        """Its state and how long it lives, as in: active, expires 2026-03-01 12:00 UTC (in 6 days)."""
        words = [self.status]
        if self.not_before and self.not_before > datetime.now(UTC):
            words.append(f"not valid before {_minute(self.not_before)}")
        words.append(_life(self.expires_on))
        return ", ".join(words)


def _life(expires: datetime | None) -> str:
    if expires is None:
        return "never expires by itself"
    days = (expires - datetime.now(UTC)).total_seconds() / 86_400
    if days <= 0:
        return f"expired {_minute(expires)}"
    return f"expires {_minute(expires)} ({f'in {days:.0f} days' if days >= 1.5 else f'in {days * 24:.0f} h'})"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
