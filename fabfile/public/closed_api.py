"""The API's own hostname where the inventory says that it is closed: it must give away neither JSON nor a websocket."""

from __future__ import annotations

import requests
from websockets.exceptions import WebSocketException

from fabfile.inventory import Site
from fabfile.public import certificate, https, websocket
from fabfile.public.check import Refused, plain
from fabfile.public.endpoint import Door, Endpoint


def closed(site: Site, door: Door) -> str:
    """What the closed hostname answers instead of the API, on both of the edge's ports. Raises Refused when it is open.

    NPM gives a name that it has no host for a TLS alert (unrecognized_name) on 443 and 404 on 80; one that is not even
    in DNS is closed as well. Certificates are not judged: who wants in ignores them.
    """
    if door.stage in ("name", "connection"):
        return door.problem
    secure = door.problem if door.stage == "TLS" and not door.certificate else _without_judging(site, door)
    plainly = Door(Endpoint("http", door.endpoint.name, site.public.http_port), door.way, address=door.address)
    return f"HTTPS: {secure}; HTTP: {_health(site, plainly)}"


def _without_judging(site: Site, door: Door) -> str:
    answer = _health(site, door)
    try:
        websocket.upgrade(site.public.websocket, door, certificate.context(site.public, verify=False))
    except (Refused, WebSocketException, OSError):
        return answer
    raise _open(site, f"answers 101 to {site.public.websocket}")


def _health(site: Site, door: Door) -> str:
    endpoint = door.endpoint
    url = f"{endpoint.scheme}://{endpoint.name}{site.api.health or '/'}"
    try:
        response = https.ask(site.public, door, "GET", url, verify=False)
    except (requests.RequestException, OSError) as error:
        return plain(error)
    if "json" in response.headers.get("content-type", ""):
        raise _open(site, f"answers {response.status_code} with JSON to {url}")
    return f"answers {response.status_code} without JSON"


def _open(site: Site, text: str) -> Refused:
    return Refused(f"{text}: the inventory says that it is closed (public.raw_api)")
