"""Which containers are Nginx Proxy Manager, and where its hosts lead."""

from __future__ import annotations

from pathlib import Path

from ..edge import hostfile
from ..edge.database import live_rows
from ..edge.nginx import Directive, ParseError, parse
from ..edge.routes import route_blocks
from ..system.inspected import Inspected
from ..system.machine import StepFailed
from ..wire.adoption import Box, NpmFound, ProxyFound
from ..wire.edge import ProxyHost
from .containers import box, label

_NAME = "nginx-proxy-manager"
_DATABASES = ("DB_MYSQL_HOST", "DB_POSTGRES_HOST")
_CLOSING = 9  # the port to which main's script sends a name that it closes


def edges(items: list[Inspected]) -> tuple[NpmFound, ...]:
    """Every container that is NPM by what it holds; where none is, those that only look like it."""
    found = [_edge(item) for item in items]
    sure = tuple(edge for edge in found if edge.data)
    return sure or tuple(edge for edge in found if edge.why)


def _edge(item: Inspected) -> NpmFound:
    here = box(item)
    data = next((mount.source for mount in here.mounts if mount.target == "/data"), "")
    holds = bool(data) and Path(data, "nginx/proxy_host").is_dir()
    other = next((name for name in _DATABASES if name in here.variables), "")
    why = _why(here, label(item, "project"), holds)
    if not holds:
        return NpmFound(here, why, other_database=other)
    database = Path(data, "database.sqlite")
    hosts, problem = _hosts(Path(data)) if database.is_file() else ((), f"there is no {database}")
    return NpmFound(here, why, data, database.is_file(), other, hosts, problem)


def _why(here: Box, project: str, holds: bool) -> str:
    if holds:
        return "its /data has nginx/proxy_host"
    words = {"image": here.image, "name": here.name, "Compose project": project}
    return next((f"its {what} is {text}" for what, text in words.items() if _NAME in text), "")


def _hosts(data: Path) -> tuple[tuple[ProxyFound, ...], str]:
    try:
        rows = live_rows(str(data / "database.sqlite"))
    except StepFailed as error:
        return (), str(error)
    return tuple(_host(data, row) for row in rows), ""


def _host(data: Path, row: ProxyHost) -> ProxyFound:
    bare = ProxyFound(row.id, row.names, row.enabled and row.port != _CLOSING, row.host, row.port)
    file = data / "nginx/proxy_host" / f"{row.id}.conf"
    try:
        text = file.read_text(errors="replace") if row.enabled else ""
    except OSError:
        text = ""
    try:
        blocks = route_blocks(_directives(text, row))
    except (StepFailed, ParseError) as error:
        return ProxyFound(**{**bare.__dict__, "problem": str(error)})
    if not blocks:
        return bare
    place = blocks[0].upstream  # nginx takes the first location that matches
    routed = {"route_host": place.host, "route_port": place.port} if place else {}
    return ProxyFound(**{**bare.__dict__, "prefixes": blocks[0].prefixes, **routed})


def _directives(text: str, row: ProxyHost) -> tuple[Directive, ...]:
    """What stands in the host's server block; of a host without a file, what its row would put there."""
    if text and row.names:
        return tuple(hostfile.server_block(text, row.names[0]).children or ())
    return tuple(parse(row.advanced))
