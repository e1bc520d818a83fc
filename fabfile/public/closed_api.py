"""Checks that the API's own hostname, where the inventory says that it is closed, serves no JSON and no websocket."""

from __future__ import annotations

import requests
from websockets.exceptions import WebSocketException

from fabfile.inventory import Site
from fabfile.public import certificate, https, websocket
from fabfile.public.check import Refused, plain
from fabfile.public.endpoint import Endpoint, Target


def closed(site: Site, target: Target) -> str:
    """The answers of the closed hostname on both of the edge's ports. Raises Refused when it is open.

    For a name without a host NPM sends a TLS alert (unrecognized_name) on 443 and 404 on 80; a name that is not in DNS
    is closed as well. Certificates are not verified: an intruder would not do so either.
    """
    if target.stage in ("name", "connection"):
        return target.problem
    secure = target.problem if target.stage == "TLS" and not target.certificate else _unverified(site, target)
    plain_http = Target(
        Endpoint("http", target.endpoint.name, site.public.http_port), target.way, address=target.address
    )
    return f"HTTPS: {secure}; HTTP: {_health(site, plain_http)}"


def _unverified(site: Site, target: Target) -> str:
    answer = _health(site, target)
    try:
        websocket.upgrade(site.public.websocket, target, certificate.context(site.public, verify=False))
    except (Refused, WebSocketException, OSError):
        return answer
    raise _open_error(site, f"answers 101 to {site.public.websocket}")


def _health(site: Site, target: Target) -> str:
    endpoint = target.endpoint
    url = f"{endpoint.scheme}://{endpoint.name}{site.api.health or '/'}"
    try:
        response = https.request(site.public, target, "GET", url, verify=False)
    except (requests.RequestException, OSError) as error:
        return plain(error)
    if "json" in response.headers.get("content-type", ""):
        raise _open_error(site, f"answers {response.status_code} with JSON to {url}")
    return f"answers {response.status_code} without JSON"


def _open_error(site: Site, text: str) -> Refused:
    return Refused(f"{text}: the inventory says that it is closed (public.raw_api)")
