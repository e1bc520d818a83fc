"""What is asked over HTTP(S), and which answers are good: page, health, API routes, lookups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from fabfile.inventory import Lookup, Public, Site
from fabfile.public.check import Refused
from fabfile.public.endpoint import Door
from fabfile.terms import Owner

# Cloudflare's own answers in place of the origin's, from its list of 5xx errors.
_OF_A_CDN: Final[Mapping[int, str]] = {
    520: "the origin's answer makes no sense to it",
    521: "the origin refuses its connection",
    522: "it can't connect to the origin",
    523: "it finds no route to the origin",
    524: "the origin takes too long for it",
    525: "its TLS handshake with the origin fails",
    526: "the origin's certificate does not hold for it",
    530: "it can't resolve the origin",
}


def page(site: Site, runtime: Owner, door: Door) -> str:
    """HEAD of the app's page: anything but an error. Raises Refused."""
    response = ask(site.public, door, "HEAD", site.public.app_url)
    if response.status_code >= 400:
        raise Refused(status(response.status_code))
    return _served(site, response, runtime)


def health(site: Site, runtime: Owner, door: Door) -> str:
    """The API's health: 200 with JSON. Raises Refused."""
    response = ask(site.public, door, "GET", site.public.api_health_url)
    if response.status_code != 200:
        raise Refused(status(response.status_code))
    return _served(site, _json(response), runtime)


def route(site: Site, runtime: Owner, url: str, known: bool, door: Door) -> str:
    """JSON with any status but 404: a route may well refuse a bare GET, but it must be the API that does.

    What the API need not know (`known` is off) may be 404 as well, in JSON: the web app's would be a page.
    """
    response = ask(site.public, door, "GET", url)
    if response.status_code >= 500:
        raise Refused(status(response.status_code))
    if _json(response).status_code == 404 and known:
        raise Refused("answers 404: the edge sent it to the web app, or the API does not know it")
    return _served(site, response, runtime)


def lookup(site: Site, runtime: Owner, asked: Lookup, door: Door) -> str:
    """What must be answered 200 with a JSON object that has the keys which are expected. Raises Refused."""
    url = site.public.app_url.rstrip("/") + asked.path
    sent: dict[str, Any] = (
        {} if asked.body is None else {"data": asked.body, "headers": {"Content-Type": "application/json"}}
    )
    response = ask(site.public, door, asked.method, url, **sent)
    if response.status_code >= 500:
        raise Refused(status(response.status_code))
    if _json(response).status_code != 200:
        raise Refused(f"{status(response.status_code)}: {response.text[:120]}")
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        raise Refused("answers 200 with JSON that can't be read") from None
    missing = [key for key in asked.expect if not isinstance(answer, dict) or key not in answer]
    if missing:
        raise Refused(f"answers 200, but without {', '.join(missing)}")
    return _served(site, response, runtime)


def status(code: int) -> str:
    """A status in words: who must have given it."""
    if code in _OF_A_CDN:
        return f"answers {code}: a CDN stands in front, and {_OF_A_CDN[code]}"
    return f"answers {code}{': nothing behind the edge answers' if code in (502, 503, 504) else ''}"


def kind(code: int, headers: Mapping[str, str]) -> str:
    """What came in place of what was wanted, by its content type."""
    content_type = headers.get("content-type", "")
    if "html" in content_type:
        return f"answers {code} with HTML: the edge sent it to the web app"
    return f"answers {code} with {content_type or 'no type'}"


def by(site: Site, headers: Mapping[str, str], runtime: Owner) -> str:
    """Who served it, where the answer says so. Raises Refused when that is not `runtime`."""
    served = headers.get(site.edge.served_by_header, "") if site.edge.served_by_header else ""
    if runtime and served and served != runtime:
        raise Refused(f"served by {served} instead of {runtime}")
    return f", served by {served}" if served else ""


def ask(public: Public, door: Door, method: str, url: str, *, verify: bool = True, **options: Any) -> requests.Response:
    """Ask the address behind the door for the name in `url`; a redirect is an answer.

    Raises Refused where the door can't be entered, RequestException.
    """
    parts = urlsplit(url)
    if verify:
        door.enter()
    judge = (str(public.ca) if public.ca else True) if verify and public.verify_tls else False
    if not judge:  # asked for: no need to warn of it with every request
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    address = f"[{door.address}]" if ":" in door.address else door.address
    headers = {"Host": parts.netloc, **options.pop("headers", {})}
    with requests.Session() as session:
        session.trust_env = False  # a proxy would look the name up by itself
        session.mount("https://", _Pinned(door.endpoint.name))
        pinned = parts._replace(netloc=f"{address}:{door.endpoint.port}").geturl()
        return session.request(
            method, pinned, headers=headers, timeout=door.patience, verify=judge, allow_redirects=False, **options
        )


class _Pinned(HTTPAdapter):
    """Goes to an address but asks for, and verifies, a name; as curl's --connect-to does."""

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, server_hostname=self._name, assert_hostname=self._name, **kwargs)


def _json(response: requests.Response) -> requests.Response:
    if "json" in response.headers.get("content-type", ""):
        return response
    problem = kind(response.status_code, response.headers)
    raise Refused(problem if "HTML" in problem else f"{problem} instead of JSON")


def _served(site: Site, response: requests.Response, runtime: Owner) -> str:
    return f"answers {response.status_code}{by(site, response.headers, runtime)}"
