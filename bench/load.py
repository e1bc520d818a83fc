"""The lab that a measurement runs on, and those who use its app meanwhile."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bench import show
from bench.client import EdgeAddress, Request
from bench.crowd import Crowd, Pace
from fabfile.inventory import Site
from fabfile.lab.choices import Choices
from fabfile.lab.lab import Lab

T = TypeVar("T")
SETTLE_SECONDS = 5.0  # after each part: failures may show late, and the next part must begin as this one did


@dataclass
class Run:
    """Everything that one run measures, as it comes in."""

    crowd: Crowd
    parts: list[show.Part] = field(default_factory=list)

    async def part(self, name: str, work: Callable[[], T]) -> T:
        """Do the work in a thread during the crowd's requests; those until the next part count for this one."""
        started = time.monotonic()
        self.parts[-1:] = [replace(part, ended=started) for part in self.parts[-1:]]
        result = await asyncio.to_thread(work)
        self.parts.append(show.Part(name, started, math.inf, time.monotonic() - started))
        await asyncio.sleep(SETTLE_SECONDS)
        return result


@contextlib.contextmanager
def booted(name: str, choices: Choices) -> Iterator[Lab]:
    """The lab of that name: as it is, if it is up; one that was not up before is not up afterwards."""
    lab = Lab(name)
    was_running = lab.running
    lab.up(None if was_running or choices == Choices() else choices)
    try:
        yield lab
    finally:
        if not was_running:
            lab.down()


def crowd(lab: Lab, site: Site, options: argparse.Namespace) -> Crowd:
    """The users of the app at the lab's edge, as many as the options say."""
    pace = Pace(options.clients, options.sockets, options.think)
    return Crowd(_edge_address(lab), _requests(site), _socket(site), pace)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which lab it is, and how many use it."""
    parser.add_argument("--clients", type=int, default=50, help="half keep their connection, half don't (50)")
    parser.add_argument("--sockets", type=int, default=10, help="open websockets (10)")
    parser.add_argument("--think", type=float, default=0.4, help="seconds between a client's requests (0.4)")
    parser.add_argument("--name", default="bench", help="the lab's name (bench)")


def _edge_address(lab: Lab) -> EdgeAddress:
    """Through the lab's own forwarder: it shares its loop among all connections and forks nothing."""
    return EdgeAddress("127.0.0.1", lab.ports["https"], ssl.create_default_context(cafile=str(lab.ca)))


def _requests(site: Site) -> tuple[Request, ...]:
    """Requests that the app answers in both runtimes; a lookup goes to the API's name, the edge has no route for it."""
    app, api, header = site.edge.app_domain, site.edge.api_domain, site.edge.served_by_header or ""
    route = site.public.routes.get("prints", f"/{site.edge.api_prefixes[0]}")
    posts = [lookup for lookup in site.public.lookups.values() if lookup.body][:1]
    return (
        Request("page", app, site.web.health or "/", header=header),
        Request("API", api, site.api.health or "/", header=header),
        Request("API route", app, route, header=header),
        *(Request("POST to API", api, post.path, "POST", (post.body or "").encode(), header) for post in posts),
    )


def _socket(site: Site) -> Request:
    return Request("websocket", site.edge.app_domain, site.public.websocket, header=site.edge.served_by_header or "")
