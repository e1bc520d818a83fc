"""Sends what becomes of a plan to the operator's webhook: in a thread of its own, since no plan waits for it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from fabfile.console import Console
from fabfile.inventory import Notify
from fabfile.runner.wire.events import Event

_FAILURES: Final = ("failed", "stuck")
_THIS_MACHINE: Final = ("127.0.0.1", "::1", "localhost")


class Webhook:
    """A webhook that gets a plan's begin, failures and end; without settings there is none.

    What goes wrong with that is one warning, at the end of the block.
    """

    def __init__(self, settings: Notify | None, console: Console, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._console = console
        self._problem = ""
        self._seen: set[tuple[str, str | None, str]] = set()
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._thread: threading.Thread | None = None
        if settings is None:
            return
        url = settings.url or environ.get(settings.url_env or "", "")
        token = environ.get(settings.token_env, "") if settings.token_env else ""
        missing = [n for n in (settings.url_env, settings.token_env) if n and not environ.get(n)]
        if missing:
            self._problem = f"{', '.join(missing)} is not set in the environment"
        elif not _is_private(url):
            self._problem = f"what {settings.url_env} holds is no https:// address"
        else:
            self._thread = threading.Thread(target=self._deliver, args=(url, token, settings.timeout), daemon=True)

    def __enter__(self) -> Webhook:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._settings and self._thread:
            self._events.put(None)
            self._thread.join(self._settings.timeout)
            if self._thread.is_alive() and not self._problem:
                self._problem = f"it did not answer within {self._settings.timeout:g} s"
        if self._problem:
            self._console.warn(f"the webhook of [notify] did not get everything: {self._problem}")

    def event(self, event: Event) -> None:
        """Send an event if it is the plan's begin, a failure or its end, and was not sent before. Returns at once."""
        key = (event.kind, event.step, event.time)
        begins_or_ends = event.step is None and event.kind in ("start", "finished")
        if self._thread and (begins_or_ends or event.kind in _FAILURES) and key not in self._seen:
            self._seen.add(key)
            self._events.put(event.line())

    def _deliver(self, url: str, token: str, seconds: float) -> None:
        import requests  # only here: hardly anybody has a webhook

        def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
            """A header given to `post` would give way to a login that somebody's .netrc has for the same host."""
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        auth = authorize if token else None
        while (line := self._events.get()) is not None:
            try:
                # Not to where a redirect leads: it would get the token.
                answer = requests.post(url, json=line, auth=auth, timeout=seconds, allow_redirects=False)
                problem = "" if answer.ok and not answer.is_redirect else f"it answered {answer.status_code}"
            except Exception as error:  # noqa: BLE001  the address is in its text, and may be secret
                problem = type(error).__name__
            self._problem = self._problem or problem


def _is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent there: HTTPS, or this machine itself."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _THIS_MACHINE)
    except ValueError:
        return False
