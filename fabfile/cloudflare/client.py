"""Cloudflare's v4 API: asking, waiting where it wants that, and every way to fail in words.

1200 requests in five minutes are allowed; then it answers 429 for the rest of them, with Retry-After in seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import requests
from pydantic import TypeAdapter, ValidationError
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from fabfile.cloudflare.schema import Answer, Envelope, Problem
from fabfile.cloudflare.token import Secret
from fabfile.errors import CutoverError, DnsFailed, DnsUnreachable
from fabfile.runner.system.deadline import Deadline

TRIES: Final = 5
PATIENCE: Final = 330.0
"""Seconds for one question with all its repetitions: a little more than Cloudflare's five minutes."""

_TIMEOUT: Final = (10.0, 30.0)  # seconds to connect, and between two bytes of the answer
_TOKEN_CODES: Final = {1000, 1001, 6003, 9106, 9109, 10000, 10001}  # whose message is about the token
_MOST_PAGES: Final = 1000

T = TypeVar("T", bound=Answer)


class _Again(Exception):
    """This question may be asked again, after `wait` seconds if that was said; `error` is for when it is not."""

    def __init__(self, why: str, error: CutoverError, wait: float | None = None) -> None:
        self.why = why
        self.error = error
        self.wait = wait


class Api:
    """One token's view of Cloudflare. `tell` is given a line for every wait."""

    def __init__(self, base: str, secret: Secret, tell: Callable[[str], None]) -> None:
        self._base = base
        self._secret = secret
        self._tell = tell

    def one(self, kind: type[T], method: str, path: str, **settings: Any) -> T:
        """The result of one request; `settings` are those of requests. Raises DnsFailed, DnsUnreachable."""
        result: T = self._read(f"{method} {path}", kind, self._envelope(method, path, **settings).result)
        return result

    def all(self, kind: type[T], path: str, per_page: int, **filters: str) -> list[T]:
        """Every result, page after page. Raises DnsFailed, DnsUnreachable."""
        found: list[T] = []
        for page in range(1, _MOST_PAGES + 1):
            envelope = self._envelope("GET", path, params={**filters, "page": page, "per_page": per_page})
            found += self._read(f"GET {path}", list[kind], envelope.result)  # type: ignore[valid-type]  # made at run time
            if envelope.result_info is None or page >= envelope.result_info.total_pages:
                return found
        raise self._unreadable(f"GET {path}", f"there is no end after {_MOST_PAGES} pages")

    def _envelope(self, method: str, path: str, **settings: Any) -> Envelope:
        deadline = Deadline(PATIENCE)
        for tried in range(1, TRIES + 1):
            try:
                return self._once(method, path, **settings)
            except _Again as again:
                wait = 2.0 ** (tried - 1) if again.wait is None else again.wait
                if tried == TRIES or wait > deadline.left:
                    raise again.error from None
                self._tell(f"{again.why}; asking again in {wait:g} s")
                time.sleep(wait)
        raise AssertionError("the last try either answers or raises")

    def _once(self, method: str, path: str, **settings: Any) -> Envelope:
        what = f"{method} {path}"
        try:
            # No redirect is followed: the token goes to no other place than the inventory names.
            response = requests.request(
                method,
                self._base + path,
                auth=self._secret,
                timeout=_TIMEOUT,
                allow_redirects=False,
                **settings,
            )
        except requests.exceptions.SSLError as error:
            raise self._unreachable(error) from None
        except requests.RequestException as error:
            lost = self._unreachable(error)
            raise _Again(lost.message, lost) from None
        if response.status_code == 429:
            raise self._limited(response)
        if response.status_code >= 500:
            said = f"Cloudflare answers {response.status_code} to {what}"
            raise _Again(said, self._refused(what, response))
        envelope = self._parsed(what, response)
        if not envelope.success:
            raise self._refused(what, response)
        return envelope

    def _limited(self, response: requests.Response) -> _Again:
        wait = _retry_after(response)
        error = DnsFailed(
            "Cloudflare's limit of requests is reached" + (f" for another {wait:g} s" if wait else ""),
            next_step="Run the same command again after that; other programs with this token count, too.",
        )
        return _Again(error.message, error, wait)

    def _refused(self, what: str, response: requests.Response) -> DnsFailed:
        """In Cloudflare's own words, where there are any."""
        try:
            problems = Envelope.model_validate_json(response.content).errors
        except ValidationError:
            problems = ()
        words = "; ".join(map(str, problems)) or f"HTTP {response.status_code} without a word"
        return DnsFailed(
            self._secret.masked(f"Cloudflare refuses {what}: {words}"), next_step=_advice(response, problems)
        )

    def _parsed(self, what: str, response: requests.Response) -> Envelope:
        try:
            return Envelope.model_validate_json(response.content)
        except ValidationError:
            kind = response.headers.get("content-type", "no type")
            raise self._unreadable(what, f"HTTP {response.status_code} with {kind}") from None

    def _read(self, what: str, kind: type[Any], result: object) -> Any:
        try:
            return TypeAdapter(kind).validate_python(result)
        except ValidationError as error:
            where = ".".join(map(str, ("result", *error.errors()[0]["loc"])))
            raise self._unreadable(what, f"{where}: {error.errors()[0]['msg']}") from None

    def _unreadable(self, what: str, why: str) -> DnsUnreachable:
        return DnsUnreachable(
            self._secret.masked(f"{self._base} does not answer {what} as Cloudflare's API does: {why}"),
            next_step="Check dns.api in the inventory, and whether a proxy or a portal stands in between.",
        )

    def _unreachable(self, error: requests.RequestException) -> DnsUnreachable:
        return DnsUnreachable(
            self._secret.masked(f"{self._base} can't be reached: {_innermost(error)}"),
            next_step="Check your own connection and dns.api in the inventory, then run the same command again.",
        )


def _retry_after(response: requests.Response) -> float | None:
    """Seconds; the header may hold a date instead. None when it is missing or neither."""
    try:
        return Retry().parse_retry_after(response.headers["Retry-After"])
    except (KeyError, InvalidHeader):
        return None


def _advice(response: requests.Response, problems: tuple[Problem, ...]) -> str:
    if response.status_code in (401, 403) or any(code in _TOKEN_CODES for item in problems for code in item.codes):
        return (
            "Check the token at Cloudflare, My Profile, API Tokens: it has to be active, with Zone:Read and DNS:Edit "
            "for the zone. (An account's own token works, too, but dns.verify-token can't ask about it.)"
        )
    if response.status_code >= 500:
        return "Try again later; https://www.cloudflarestatus.com tells what is wrong there."
    return "Compare [dns] of the inventory with Cloudflare's dashboard; inv dns.status shows what is there."


def _innermost(error: BaseException) -> str:
    """The reason itself: requests and urllib3 wrap it several times over, and they quote the whole address."""
    reason = error
    while reason.__cause__ or reason.__context__:
        reason = reason.__cause__ or reason.__context__ or reason
    return str(reason) or type(reason).__name__
