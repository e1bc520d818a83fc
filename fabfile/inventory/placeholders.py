"""Placeholders in argv and overrides: values that follow from the rest of the inventory, from the runtime, or from
where the edge's network is, so that nobody has to write them twice.

Only {lower_case} is one; other braces are ordinary text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from fabfile.terms import Runtime

if TYPE_CHECKING:
    from fabfile.inventory.app import Service
    from fabfile.inventory.model import Site

EVERY_ADDRESS: Final = "0.0.0.0"
_PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}", re.ASCII)

SHARED: Final = (
    "bind",
    "web_port",
    "api_port",
    "web_url",
    "api_url",
    "nats_url",
    "redis_url",
    "clickhouse_url",
    "runtime",
)
"""Known in every argv and in the overrides of both runtimes."""

OWN: Final = (*SHARED, "port")
"""Known in the argv of a service that has a port: also that port."""


def unknown(text: str, known: tuple[str, ...]) -> Iterator[str]:
    """The placeholders in `text` that are none of `known`, each once."""
    return (name for name in dict.fromkeys(_PLACEHOLDER.findall(text)) if name not in known)


def held(text: str) -> bool:
    """Whether `text` holds a placeholder."""
    return bool(_PLACEHOLDER.search(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced. Raises KeyError for one that has no value."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def places(site: Site) -> dict[str, str]:
    """Native overrides that are nothing but the URL of a server, by variable.

    Such a variable keeps what the app's env file has besides host and port, which only the VPS may read.
    """
    urls = {f"{{{server.name}_url}}": server.url for server in site.servers}
    return {name: urls[value] for name, value in site.runtimes.native.overrides.items() if value in urls}


def values(site: Site, runtime: Runtime, *, bind: str, service: Service | None = None) -> dict[str, str]:
    """What each placeholder stands for under a runtime, whose web and API listen on `bind`.

    With `service`, {port} is its port. In Docker the services find each other by their names on the edge's network.
    """
    native, docker = runtime == "native", site.runtimes.docker
    near = "127.0.0.1" if bind == EVERY_ADDRESS else bind
    web, api = (near, near) if native else (docker.web_host, docker.api_host)
    own = {"port": str(service.port)} if service and service.port else {}
    return {
        **own,
        "bind": bind,
        "web_port": str(site.web.port),
        "api_port": str(site.api.port),
        "web_url": f"http://{web}:{site.web.port}",
        "api_url": f"http://{api}:{site.api.port}",
        **{f"{server.name}_url": server.url if native else server.image_url for server in site.servers},
        "runtime": runtime,
    }
