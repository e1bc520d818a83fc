"""Reads nginx's configuration as the edge has it: what a file includes, and where all that is not ours leads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from ..system.machine import StepFailed
from ..wire.edge import EdgeContainer, EdgeRef, Forward, ProxyHost, has_name
from . import database, destinations, hostfile
from .hostfile import to_text
from .locations import NPMS_FOLDER, PROXY, Statement, expanded, included_names
from .nginx import ParseError, parse

_MOST_INCLUDES = 50  # of a file
# What NPM's nginx.conf includes in its two blocks, in its order.
_HTTP = (
    "/data/nginx/custom/http_top[.]conf",
    "/etc/nginx/conf.d/*.conf",
    "/data/nginx/default_host/*.conf",
    "/data/nginx/proxy_host/*.conf",
    "/data/nginx/redirection_host/*.conf",
    "/data/nginx/dead_host/*.conf",
    "/data/nginx/temp/*.conf",
    "/data/nginx/custom/http[.]conf",
)
_STREAM = ("/data/nginx/stream/*.conf", "/data/nginx/custom/stream[.]conf")
_GENERATED = re.compile(r"/data/nginx/(proxy_host|stream)/(\d+)\.conf")


def forwards(ref: EdgeRef, box: EdgeContainer) -> tuple[Forward, ...]:
    """Return where the edge sends what comes to others than our hostnames: rows, streams, and an operator's files.

    What can't be read has an entry that says so. Raises StepFailed as `live_rows` does.
    """
    rows = {row.id: row for row in database.live_rows(ref.database)}
    ours = {row.id for row in rows.values() if any(has_name(row.names, domain) for domain in ref.domains)}
    found = [
        Forward(_host_name(row.id, row.names), "its row", (row.host.lower(),))
        for row in rows.values()
        if row.enabled and row.id not in ours
    ]
    found += _streams(ref)
    for server in _servers(ref, box, _HTTP):
        if isinstance(server, Forward):
            found.append(server)
            continue
        kind, number = _generated(server)
        names = _names(server)
        if kind == "proxy_host" and number in ours and any(has_name(names, domain) for domain in ref.domains):
            continue  # a fact of its own
        source = _host_name(number, names) if kind == "proxy_host" else f"server {' '.join(names) or '_'}"
        found += _of_server(source, server, rows.get(number) if kind == "proxy_host" else None)
    for server in _servers(ref, box, _STREAM):
        if isinstance(server, Forward):
            found.append(server)
            continue
        kind, number = _generated(server)
        port = next((child.values[0] for child in server.children if child.name == "listen" and child.values), "?")
        source = _stream_name(number, port) if kind == "stream" else f"stream server on port {port}"
        outcome = destinations.passed_on(server)
        found.append(Forward(source, str(outcome.statement), outcome.hosts))
    return tuple(dict.fromkeys(forward for forward in found if forward.hosts or forward.problem))


def _of_server(source: str, server: Statement, row: ProxyHost | None) -> Iterator[Forward]:
    """Yield where a server block of somebody else's leads, but for what its row says as well."""
    own = hostfile.own_upstream(server.directive)
    if own and not (row and row.leads_to(own)):
        yield Forward(source, str(server), (own.host.lower(),))
    for outcome in destinations.places(server, ()):
        yield Forward(source, str(outcome.statement), outcome.hosts)


def _streams(ref: EdgeRef) -> list[Forward]:
    try:
        streams = database.live_streams(ref.database)
    except StepFailed as error:
        return [Forward("streams", "their rows", problem=str(error))]
    return [Forward(_stream_name(number, str(port)), "its row", (host.lower(),)) for number, port, host in streams]


def _servers(ref: EdgeRef, box: EdgeContainer, patterns: Sequence[str]) -> Iterator[Statement | Forward]:
    """Yield the server blocks in the files, with all that they include; for a file that can't be read, what is so."""
    includes = included(ref, box, "".join(f"include {pattern};\n" for pattern in patterns))
    for pattern in patterns:
        for path, text in includes.get(pattern, {}).items():
            try:
                statements = tuple(expanded(parse(text), path, includes))
            except (ParseError, RecursionError) as error:
                yield Forward(path, "one of its blocks", problem=f"it can't be read: {error}")
                continue
            yield from (statement for statement in statements if statement.name == "server")


def _generated(server: Statement) -> tuple[str, int]:
    """Return the kind and the number of the entry of NPM's whose file it is."""
    match = _GENERATED.fullmatch(server.file)
    return (match[1], int(match[2])) if match else ("", 0)


def _names(server: Statement) -> tuple[str, ...]:
    return tuple(name for child in server.children if child.name == "server_name" for name in child.values)


def _host_name(number: int, names: Sequence[str]) -> str:
    return f"proxy host {number} ({', '.join(names)})"


def _stream_name(number: int, port: str) -> str:
    return f"stream {number} (port {port})"


def included(ref: EdgeRef, box: EdgeContainer, text: str) -> dict[str, dict[str, str]]:
    """Return what a text includes, and what that includes: each `include` as written → path → text.

    What can't be read is left out. Of NPM's own files only the one that passes requests on is read.
    """
    found: dict[str, dict[str, str]] = {}
    texts = [text]
    while texts and len(found) < _MOST_INCLUDES:
        for name in included_names(texts.pop()):
            if name in found or (name.startswith(NPMS_FOLDER) and name != PROXY):
                continue
            paths = _paths_of(ref, box, name)
            try:
                files = {inside: to_text(path.read_bytes()) for inside, path in paths.items()}
            except OSError:
                continue
            if files or set("*?[").intersection(name):
                found[name] = files
                texts += files.values()
    return found


def _paths_of(ref: EdgeRef, box: EdgeContainer, name: str) -> dict[str, Path]:
    """Return the files that an `include` stands for: path in the container → path on this machine."""
    inside = PurePosixPath("/etc/nginx", name)
    if inside.parts[:2] == ("/", "data"):
        base, below = Path(ref.root), str(inside)[1:]
    elif box.running:
        base, below = Path(f"/proc/{box.pid}/root"), str(inside)[1:]
    else:
        return {}
    # A link could lead out of the container, where its path means another file.
    return {
        f"/{path.relative_to(base)}": path
        for path in sorted(base.glob(below))
        if path.is_file() and not path.is_symlink()
    }
