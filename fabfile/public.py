"""Checks made from outside, as the public comes in: what has to hold before a hand-over is confirmed."""

from __future__ import annotations

import functools
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from fabfile.inventory import Public, Site

TIMEOUT = 10.0  # seconds, for each request
_AT_ONCE = 8


@dataclass(frozen=True)
class Check:
    """One question asked from outside, and its answer."""

    name: str
    ok: bool
    text: str
    ms: int


def checks(site: Site, runtime: str = "") -> list[Check]:
    """The app's page, the API's health, every API prefix on the app's own name, and the websocket.

    With a `runtime` each answer must come from it, where answers say so. Never raises: what fails is a
    failed check.
    """
    public = site.public
    if not public.verify_tls:  # asked for: no need to warn of it with every request
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    base = public.app_url.rstrip("/")
    jobs: list[tuple[str, Callable[[], str]]] = [
        (f"HEAD {public.app_url}", lambda: _page(site, runtime)),
        (f"GET {public.api_health_url}", lambda: _health(site, runtime)),
        (f"{public.websocket} upgrades", lambda: _websocket(site, runtime)),
        *(
            (f"/{prefix} is the API's", functools.partial(_route, site, f"{base}/{prefix}", runtime))
            for prefix in site.edge.api_prefixes
        ),
    ]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return list(pool.map(lambda job: _timed(*job), jobs))


def until_good(site: Site, runtime: str, seconds: float) -> list[Check]:
    """The checks, repeated until all pass or `seconds` are over; returns the last round."""
    ends = time.monotonic() + seconds
    while True:
        found = checks(site, runtime)
        if all(check.ok for check in found) or time.monotonic() >= ends:
            return found
        time.sleep(0.5)


class Refused(Exception):
    """An answer that is not what it should be, in words."""


def _timed(name: str, ask: Callable[[], str]) -> Check:
    started = time.monotonic()
    try:
        ok, text = True, ask()
    except (Refused, requests.RequestException, WebSocketException, OSError) as error:
        ok, text = False, _plain(error)
    return Check(name, ok, text, round((time.monotonic() - started) * 1000))


def _page(site: Site, runtime: str) -> str:
    response = _ask(site, "HEAD", site.public.app_url)
    if response.status_code >= 400:
        raise Refused(_status(response))
    return _served(site, response, runtime)


def _health(site: Site, runtime: str) -> str:
    response = _ask(site, "GET", site.public.api_health_url)
    if response.status_code != 200:
        raise Refused(_status(response))
    return _served(site, _json(response), runtime)


def _route(site: Site, url: str, runtime: str) -> str:
    """JSON with any status but 404: a route may well refuse a bare GET, but it must be the API that does."""
    response = _ask(site, "GET", url)
    if response.status_code >= 500:
        raise Refused(_status(response))
    if _json(response).status_code == 404:
        raise Refused("answers 404: the API does not know it")
    return _served(site, response, runtime)


def _json(response: requests.Response) -> requests.Response:
    kind = response.headers.get("content-type", "")
    if "html" in kind:
        raise Refused(f"answers {response.status_code} with HTML: the edge sent it to the web app")
    if "json" not in kind:
        raise Refused(f"answers {response.status_code} with {kind or 'no type'} instead of JSON")
    return response


def _status(response: requests.Response) -> str:
    behind = ": nothing behind the edge answers" if response.status_code in (502, 503, 504) else ""
    return f"answers {response.status_code}{behind}"


def _served(site: Site, response: requests.Response, runtime: str) -> str:
    return f"answers {response.status_code}{_by(site, response.headers, runtime)}"


def _by(site: Site, headers: Mapping[str, str], runtime: str) -> str:
    """Who served it, where the answer says so. Raises Refused when that is not `runtime`."""
    by = headers.get(site.edge.served_by_header, "")
    if runtime and by and by != runtime:
        raise Refused(f"served by {by} instead of {runtime}")
    return f", served by {by}" if by else ""


def _ask(site: Site, method: str, url: str) -> requests.Response:
    public, parts = site.public, urlsplit(url)
    headers = {}
    with requests.Session() as session:
        if public.address and parts.hostname:
            session.trust_env = False  # a proxy would look the name up by itself
            session.mount("https://", _Pinned(parts.hostname))
            headers["Host"] = parts.netloc
            port = parts.port or (443 if parts.scheme == "https" else 80)
            address = f"[{public.address}]" if ":" in public.address else public.address
            url = parts._replace(netloc=f"{address}:{port}").geturl()
        return session.request(
            method, url, headers=headers, timeout=TIMEOUT, verify=_trust(public), allow_redirects=False
        )


class _Pinned(HTTPAdapter):
    """Goes to an address but asks for, and verifies, a name; as curl's --connect-to does."""

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, server_hostname=self._name, assert_hostname=self._name, **kwargs)


def _trust(public: Public) -> bool | str:
    if not public.verify_tls:
        return False
    return str(public.ca) if public.ca else True


def _websocket(site: Site, runtime: str) -> str:
    public, name = site.public, site.edge.app_domain
    context = ssl.create_default_context(cafile=str(public.ca) if public.ca else None)
    if not public.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    authority = name if public.https_port == 443 else f"{name}:{public.https_port}"
    plain = socket.create_connection((public.address or name, public.https_port), TIMEOUT)
    with connect(
        f"wss://{authority}{public.websocket}",
        sock=plain,
        ssl=context,
        server_hostname=name,
        open_timeout=TIMEOUT,
        close_timeout=1,
        proxy=None,
    ) as opened:
        answered = opened.response.headers if opened.response else {}
        return f"upgrades{_by(site, answered, runtime)}"


def _plain(error: Exception) -> str:
    """The innermost reason: requests wraps it several times over."""
    reason: BaseException = error
    while reason.__cause__ or reason.__context__:
        reason = reason.__cause__ or reason.__context__ or reason
    return str(reason) or type(reason).__name__
