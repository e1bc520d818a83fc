"""Finds the containers of Nginx Proxy Manager, and reads the upstreams of its hosts."""

from __future__ import annotations

import os
from pathlib import Path

from ..edge import hostfile
from ..edge.database import live_rows
from ..edge.nginx import Directive, ParseError, parse
from ..edge.routes import route_blocks
from ..system.inspected import Inspected
from ..system.machine import StepFailed
from ..wire.adoption import ContainerFound, NpmFound, ProxyFound
from ..wire.edge import ProxyHost
from .containers import label, read

_NAME = "nginx-proxy-manager"
_DATABASES = ("DB_MYSQL_HOST", "DB_POSTGRES_HOST")
_CLOSED_PORT = 9  # the port to which main's script sends a name that it closes


def edges(items: list[Inspected]) -> tuple[NpmFound, ...]:
    """Every container whose data is NPM's; where there is none, those whose image or name suggests it."""
    candidates = [_edge(item) for item in items]
    certain = tuple(edge for edge in candidates if edge.data)
    return certain or tuple(edge for edge in candidates if edge.why)


def _edge(item: Inspected) -> NpmFound:
    container = read(item)
    data = next((mount.source for mount in container.mounts if mount.target == "/data"), "")
    has_hosts = bool(data) and os.path.isdir(Path(data, "nginx/proxy_host"))
    database_variable = next((name for name in _DATABASES if name in container.variables), "")
    evidence = _evidence(container, label(item, "project"), has_hosts)
    if not has_hosts:
        return NpmFound(container, evidence, other_database=database_variable)
    database = Path(data, "database.sqlite")
    hosts, problem = _hosts(Path(data)) if os.path.isfile(database) else ((), f"there is no {database}")
    return NpmFound(container, evidence, data, os.path.isfile(database), database_variable, hosts, problem)


def _evidence(container: ContainerFound, project: str, has_hosts: bool) -> str:
    if has_hosts:
        return "its /data has nginx/proxy_host"
    texts = {"image": container.image, "name": container.name, "Compose project": project}
    return next((f"its {what} is {text}" for what, text in texts.items() if _NAME in text), "")


def _hosts(data: Path) -> tuple[tuple[ProxyFound, ...], str]:
    try:
        rows = live_rows(str(data / "database.sqlite"))
    except StepFailed as error:
        return (), str(error)
    return tuple(_host(data, row) for row in rows), ""


def _host(data: Path, row: ProxyHost) -> ProxyFound:
    host = ProxyFound(row.id, row.names, row.enabled and row.port != _CLOSED_PORT, row.host, row.port)
    file = data / "nginx/proxy_host" / f"{row.id}.conf"
    try:
        text = file.read_text(errors="replace") if row.enabled else ""
    except OSError:
        text = ""
    try:
        blocks = route_blocks(_directives(text, row))
    except (StepFailed, ParseError) as error:
        return ProxyFound(**{**host.__dict__, "problem": str(error)})
    if not blocks:
        return host
    upstream = blocks[0].upstream  # the first location that matches wins in nginx
    route = {"route_host": upstream.host, "route_port": upstream.port} if upstream else {}
    return ProxyFound(**{**host.__dict__, "prefixes": blocks[0].prefixes, **route})


def _directives(text: str, row: ProxyHost) -> tuple[Directive, ...]:
    """The directives of the host's server block; for a host without a file, those of its row."""
    if text and row.names:
        return tuple(hostfile.server_block(text, row.names[0]).children or ())
    return tuple(parse(row.advanced))
