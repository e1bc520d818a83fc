"""Resolves a public name by each way, connects to it, and does the TLS handshake."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from fabfile.inventory import Public, Site
from fabfile.public import certificate
from fabfile.public.certificate import Certificate
from fabfile.public.check import Refused, plain

TIMEOUT_SECONDS = 10.0  # for each request

DNS: Final = "DNS"
PINNED: Final = "pinned"

Resolver = Callable[[str], Sequence[str]]
"""A name → its addresses, in the order in which they are tried. Raises OSError."""


class Way(NamedTuple):
    """How a public name is resolved."""

    label: str
    resolve: Resolver


class Endpoint(NamedTuple):
    """Scheme, public name and port of a connection."""

    scheme: str
    name: str
    port: int

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """The endpoint of a URL (http:// or https://)."""
        parts = urlsplit(url)
        return cls(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


@dataclass(frozen=True)
class Target:
    """An endpoint as reached by one way. `address` is the one of `addresses` that accepted a connection.

    `problem` says why no request is possible, and `stage` where it failed: "name", "connection" or "TLS".
    `timeout` (seconds) is how long each request there may take.
    """

    endpoint: Endpoint
    way: str
    addresses: tuple[str, ...] = ()
    address: str = ""
    stage: str = ""
    problem: str = ""
    certificate: Certificate | None = None
    timeout: float | None = None  # TIMEOUT_SECONDS by default

    @property
    def patience(self) -> float:
        """Seconds that a request there may take."""
        return TIMEOUT_SECONDS if self.timeout is None else self.timeout

    def require(self) -> None:
        """Raise Refused where no request is possible."""
        if self.problem:
            raise Refused(self.problem)


def by_dns(name: str) -> Sequence[str]:
    """The addresses of a name by this machine's resolver, in its order. Raises OSError."""
    entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def ways(site: Site, resolve: Resolver) -> list[Way]:
    """Through DNS, as users come, unless the inventory says that the names are not in DNS; and directly to the VPS."""
    pinned = Way(PINNED, lambda name: resolve(site.origin))
    return [Way(DNS, resolve), pinned] if site.public.resolve else [pinned]


def connect(public: Public, way: Way, endpoint: Endpoint, timeout: float | None = None) -> Target:
    """Resolve and connect to an endpoint; return the target. Never raises: a failure is the target's `problem`."""
    try:
        addresses = tuple(way.resolve(endpoint.name))
    except OSError as error:
        why = error.strerror or str(error)
        return Target(endpoint, way.label, stage="name", problem=f"{endpoint.name} does not resolve: {why}")
    limit = TIMEOUT_SECONDS if timeout is None else timeout
    problem = f"{endpoint.name} has no address"
    for address in addresses:
        try:
            socket.create_connection((address, endpoint.port), min(limit, TIMEOUT_SECONDS)).close()
        except OSError as error:
            problem = f"{address} {plain(error)}"
        else:
            return _with_certificate(public, Target(endpoint, way.label, addresses, address, timeout=limit))
    return Target(endpoint, way.label, addresses, stage="connection", problem=problem)


def _with_certificate(public: Public, target: Target) -> Target:
    endpoint = target.endpoint
    if endpoint.scheme != "https":
        return target
    presented, problem = None, ""
    try:
        presented, problem = certificate.fetch(public, target.address, endpoint.port, endpoint.name, target.patience)
    except (Refused, OSError) as error:
        problem = plain(error)
    return replace(target, stage="TLS" if problem else "", problem=problem, certificate=presented)
