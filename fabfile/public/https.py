"""The probes over HTTP(S), and which answers are good: page, health, API routes, lookups."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from fabfile.inventory import Lookup, Public, Site
from fabfile.public.check import Refused
from fabfile.public.endpoint import Target
from fabfile.terms import Owner

# Cloudflare's own answers in place of the origin's, from its list of 5xx errors.
_CDN_ERRORS: Final[Mapping[int, str]] = {
    520: "the origin's answer makes no sense to it",
    521: "the origin refuses its connection",
    522: "it can't connect to the origin",
    523: "it finds no route to the origin",
    524: "the origin takes too long for it",
    525: "its TLS handshake with the origin fails",
    526: "the origin's certificate does not hold for it",
    530: "it can't resolve the origin",
}


def page(site: Site, runtime: Owner, refusals: Collection[int], target: Target) -> str:
    """HEAD of the app's page: anything but an error, or a redirect by the edge itself. Raises Refused."""
    response = request(site.public, target, "HEAD", site.public.app_url)
    refused = response.status_code in refusals and not served_by(site, response.headers, runtime)
    if response.status_code >= 400 or refused:
        raise Refused(status(response.status_code), response.status_code)
    return _success(site, response, runtime)


def health(site: Site, runtime: Owner, target: Target) -> str:
    """The API's health: 200 with JSON. Raises Refused."""
    response = request(site.public, target, "GET", site.public.api_health_url)
    if response.status_code != 200:
        raise Refused(status(response.status_code), response.status_code)
    return _success(site, _json(response), runtime)


def route(site: Site, runtime: Owner, url: str, known: bool, target: Target) -> str:
    """GET of an API route: JSON with any status but 404. A route may refuse a bare GET, but the API must answer.

    A route that the API need not have (`known` is off) may be 404 as well, in JSON: the web app's 404 is a page.
    """
    response = request(site.public, target, "GET", url)
    if response.status_code >= 500:
        raise Refused(status(response.status_code), response.status_code)
    if _json(response).status_code == 404 and known:
        raise Refused("answers 404: the edge sent it to the web app, or the API does not know it")
    return _success(site, response, runtime)


def lookup(site: Site, runtime: Owner, spec: Lookup, target: Target) -> str:
    """A lookup: 200 with a JSON object that has the expected keys. Raises Refused."""
    url = site.public.app_url.rstrip("/") + spec.path
    options: dict[str, Any] = (
        {} if spec.body is None else {"data": spec.body, "headers": {"Content-Type": "application/json"}}
    )
    response = request(site.public, target, spec.method, url, **options)
    if response.status_code >= 500:
        raise Refused(status(response.status_code), response.status_code)
    if _json(response).status_code != 200:
        raise Refused(f"{status(response.status_code)}: {response.text[:120]}")
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        raise Refused("answers 200 with JSON that can't be read") from None
    missing = [key for key in spec.expect if not isinstance(answer, dict) or key not in answer]
    if missing:
        raise Refused(f"answers 200, but without {', '.join(missing)}")
    return _success(site, response, runtime)


def status(code: int) -> str:
    """A bad status in words, with what it says about the way."""
    if code in _CDN_ERRORS:
        return f"answers {code}: a CDN stands in front, and {_CDN_ERRORS[code]}"
    return f"answers {code}{': nothing behind the edge answers' if code in (502, 503, 504) else ''}"


def wrong_content(code: int, headers: Mapping[str, str]) -> str:
    """An answer of the wrong content type, in words."""
    content_type = headers.get("content-type", "")
    if "html" in content_type:
        return f"answers {code} with HTML: the edge sent it to the web app"
    return f"answers {code} with {content_type or 'no type'}"


def served_by(site: Site, headers: Mapping[str, str], runtime: Owner) -> str:
    """The runtime that served it, where the answer names one. Raises Refused when that is not `runtime`."""
    name = headers.get(site.edge.served_by_header, "") if site.edge.served_by_header else ""
    if runtime and name and name != runtime:
        raise Refused(f"served by {name} instead of {runtime}")
    return f", served by {name}" if name else ""


def request(
    public: Public, target: Target, method: str, url: str, *, verify: bool = True, **options: Any
) -> requests.Response:
    """Send a request for `url` to the target's address; a redirect is an answer.

    Raises Refused where the target has a problem, RequestException.
    """
    parts = urlsplit(url)
    if verify:
        target.require()
    verification = (str(public.ca) if public.ca else True) if verify and public.verify_tls else False
    if not verification:  # chosen by the inventory or the caller: no warning with every request
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    address = f"[{target.address}]" if ":" in target.address else target.address
    headers = {"Host": parts.netloc, **options.pop("headers", {})}
    with requests.Session() as session:
        session.trust_env = False  # a proxy would look the name up by itself
        session.mount("https://", _Pinned(target.endpoint.name))
        pinned = parts._replace(netloc=f"{address}:{target.endpoint.port}").geturl()
        return session.request(
            method,
            pinned,
            headers=headers,
            timeout=target.patience,
            verify=verification,
            allow_redirects=False,
            **options,
        )


class _Pinned(HTTPAdapter):
    """Connects to an address but requests, and verifies, a name; as curl's --connect-to does."""

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, server_hostname=self._name, assert_hostname=self._name, **kwargs)


def _json(response: requests.Response) -> requests.Response:
    if "json" in response.headers.get("content-type", ""):
        return response
    problem = wrong_content(response.status_code, response.headers)
    raise Refused(problem if "HTML" in problem else f"{problem} instead of JSON", response.status_code)


def _success(site: Site, response: requests.Response, runtime: Owner) -> str:
    return f"answers {response.status_code}{served_by(site, response.headers, runtime)}"
