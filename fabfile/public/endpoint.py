"""The ways that lead to a public name, and the door at the end of each: resolved, connected, greeted with TLS."""

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

TIMEOUT = 10.0  # seconds, for each request

DNS: Final = "DNS"
PINNED: Final = "pinned"

Resolver = Callable[[str], Sequence[str]]
"""A name → its addresses, in the order in which they are tried. Raises OSError."""


class Way(NamedTuple):
    """How a public name is resolved."""

    label: str
    resolve: Resolver


class Endpoint(NamedTuple):
    """What one connects to: a scheme, a public name, a port."""

    scheme: str
    name: str
    port: int

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """Where an address (http:// or https://) leads."""
        parts = urlsplit(url)
        return cls(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


@dataclass(frozen=True)
class Door:
    """An endpoint as one way leads to it. `address` is the one of `addresses` that accepted a connection.

    `problem` says why nothing can be asked there, and `stage` how far one came: "name", "connection" or "TLS".
    `timeout` (seconds) is how long each request there may take.
    """

    endpoint: Endpoint
    way: str
    addresses: tuple[str, ...] = ()
    address: str = ""
    stage: str = ""
    problem: str = ""
    certificate: Certificate | None = None
    timeout: float | None = None  # TIMEOUT by default

    @property
    def patience(self) -> float:
        """Seconds that a request there may take."""
        return TIMEOUT if self.timeout is None else self.timeout

    def enter(self) -> None:
        """Raises Refused where nothing can be asked."""
        if self.problem:
            raise Refused(self.problem)


def by_dns(name: str) -> Sequence[str]:
    """The addresses of a name as this machine finds them, in its order. Raises OSError."""
    entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def ways(site: Site, resolve: Resolver) -> list[Way]:
    """As users come, through DNS, unless the inventory says that the names are in none; and straight to the VPS."""
    pinned = Way(PINNED, lambda name: resolve(site.origin))
    return [Way(DNS, resolve), pinned] if site.public.resolve else [pinned]


def connect(public: Public, way: Way, endpoint: Endpoint, timeout: float | None = None) -> Door:
    """Resolve and connect to an endpoint; return its door. Never raises: a failure is the door's `problem`."""
    try:
        addresses = tuple(way.resolve(endpoint.name))
    except OSError as error:
        why = error.strerror or str(error)
        return Door(endpoint, way.label, stage="name", problem=f"{endpoint.name} does not resolve: {why}")
    limit = TIMEOUT if timeout is None else timeout
    problem = f"{endpoint.name} has no address"
    for address in addresses:
        try:
            socket.create_connection((address, endpoint.port), min(limit, TIMEOUT)).close()
        except OSError as error:
            problem = f"{address} {plain(error)}"
        else:
            return _with_certificate(public, Door(endpoint, way.label, addresses, address, timeout=limit))
    return Door(endpoint, way.label, addresses, stage="connection", problem=problem)


def _with_certificate(public: Public, door: Door) -> Door:
    endpoint = door.endpoint
    if endpoint.scheme != "https":
        return door
    shown, problem = None, ""
    try:
        shown, problem = certificate.shown(public, door.address, endpoint.port, endpoint.name, door.patience)
    except (Refused, OSError) as error:
        problem = plain(error)
    return replace(door, stage="TLS" if problem else "", problem=problem, certificate=shown)
