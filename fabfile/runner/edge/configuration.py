"""Reads nginx's configuration as the edge has it: what a file includes, and where all that is not ours leads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..system.machine import StepFailed
from ..wire.edge import EdgeContainer, EdgeRef, Forward, HostFact, ProxyHost, has_name
from . import database, destinations, hostfile
from .hostfile import to_text
from .locations import (
    DEFINITIONS,
    HTTP,
    NPMS_FOLDER,
    PROXY,
    Includes,
    Statement,
    expanded,
    included_names,
    whole_server,
)
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


@dataclass(frozen=True)
class Configuration:
    """The files of nginx's http and stream blocks: path in the container → statements, with what they include."""

    http: Mapping[str, Sequence[Statement]]
    stream: Mapping[str, Sequence[Statement]]
    includes: Includes
    unread: Mapping[str, str]  # path → why it can't be read


def read(ref: EdgeRef, box: EdgeContainer) -> Configuration:
    """Return all that nginx reads in its two blocks, but for NPM's own nginx.conf."""
    includes = included(ref, box, "".join(f"include {pattern};\n" for pattern in (*_HTTP, *_STREAM)))
    unread: dict[str, str] = {}
    http, stream = (_files(patterns, includes, unread) for patterns in (_HTTP, _STREAM))
    return Configuration(http, stream, includes, unread)


def _files(patterns: Sequence[str], includes: Includes, unread: dict[str, str]) -> dict[str, Sequence[Statement]]:
    """Return the statements in the files of these patterns; adds to `unread`."""
    found: dict[str, Sequence[Statement]] = {}
    for path, text in (item for pattern in patterns for item in includes.get(pattern, {}).items()):
        try:
            found[path] = tuple(expanded(parse(text), path, includes))
        except (ParseError, RecursionError) as error:
            unread[path] = f"it can't be read: {error}"
            continue
        missing = [str(child) for child in found[path] if child.name == "include"]
        if missing:
            unread[path] = f"can't read {', '.join(missing)}"
    return found


def forwards(ref: EdgeRef, configuration: Configuration) -> tuple[Forward, ...]:
    """Return where the edge sends what comes to others than our hostnames: rows, streams, and an operator's files.

    What can't be read has an entry that says so. Raises StepFailed as `live_rows` does.
    """
    rows = {row.id: row for row in database.live_rows(ref.database)}
    ours = {row.id for row in rows.values() if _is_ours(ref, row.names)}
    found = [
        Forward(_host_name(row.id, row.names), "its row", (row.host.lower(),))
        for row in rows.values()
        if row.enabled and row.id not in ours
    ]
    found += _streams(ref)
    for server in _servers(configuration.http):
        kind, number = _generated(server)
        names = _names(server)
        if kind == "proxy_host" and number in ours and _is_ours(ref, names):
            continue  # a fact of its own
        source = _host_name(number, names) if kind == "proxy_host" else f"server {' '.join(names) or '_'}"
        found += _of_server(source, server, rows.get(number) if kind == "proxy_host" else None)
    for server in _servers(configuration.stream):
        kind, number = _generated(server)
        port = next((child.values[0] for child in server.children if child.name == "listen" and child.values), "?")
        source = _stream_name(number, port) if kind == "stream" else f"stream server on port {port}"
        outcome = destinations.passed_on(server)
        found.append(Forward(source, str(server), outcome.hosts, outcome.problem))
    found += [Forward(path, "what it defines", problem=why) for path, why in configuration.unread.items()]
    return tuple(dict.fromkeys(forward for forward in found if forward.hosts or forward.problem))


def _is_ours(ref: EdgeRef, names: Sequence[str]) -> bool:
    return any(has_name(names, domain) for domain in ref.domains)


def with_definitions(configuration: Configuration, fact: HostFact) -> HostFact:
    """Return the fact with what other files define for all hosts and this one uses: upstreams, maps and their like."""
    own = f"/data/nginx/proxy_host/{fact.row.id}.conf" if fact.row else ""
    texts = {path: text for files in configuration.includes.values() for path, text in files.items()}
    pending = {  # each text once: NPM writes the same map into many a file
        texts[statement.file][statement.directive.start : statement.directive.end]: statement
        for path, statements in configuration.http.items()
        for statement in statements
        if path != own and statement.name in DEFINITIONS and statement.values
    }
    used = "\n".join((fact.text, *(text for files in fact.includes.values() for text in files.values())))
    found: dict[str, str] = {}
    includes: dict[str, Mapping[str, str]] = {}
    while True:
        news = [text for text, statement in pending.items() if _word(statement.values[-1]).search(used)]
        for text in news:
            statement = pending.pop(text)
            before = found.get(statement.file, "")
            lines = statement.directive.line - 1 - before.count("\n")  # each stands in its own line, as in its file
            found[statement.file] = f"{before}{chr(10) * lines} {text}"
            names = [name for name in included_names(text) if name in configuration.includes]
            includes.update({name: configuration.includes[name] for name in names})
            used += "\n".join((text, *(inside for name in names for inside in includes[name].values())))
        if not news:
            break
    if not found:
        return fact
    return replace(
        fact, includes={**fact.includes, **{name: dict(files) for name, files in includes.items()}, HTTP: found}
    )


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-]){re.escape(name.lstrip('$'))}(?![\w.-])", re.IGNORECASE)


def _of_server(source: str, server: Statement, row: ProxyHost | None) -> Iterator[Forward]:
    """Yield where a server block of somebody else's leads, but for what its row says as well."""
    own = hostfile.own_upstream(server.directive)
    if own and not (row and row.leads_to(own)):
        yield Forward(source, str(server), (own.host.lower(),))
    for outcome in destinations.places(server, ()):
        yield Forward(source, str(outcome.statement), outcome.hosts, outcome.problem)


def _streams(ref: EdgeRef) -> list[Forward]:
    try:
        streams = database.live_streams(ref.database)
    except StepFailed as error:
        return [Forward("streams", "their rows", problem=str(error))]
    return [Forward(_stream_name(number, str(port)), "its row", (host.lower(),)) for number, port, host in streams]


def _servers(files: Mapping[str, Sequence[Statement]]) -> Iterator[Statement]:
    """Yield the server blocks of nginx's block of these files, each with what is defined for all of them."""
    everything = [statement for statements in files.values() for statement in statements]
    definitions = [statement for statement in everything if statement.name in DEFINITIONS]
    for statement in everything:
        if statement.name == "server":
            yield replace(statement, children=(*statement.children, *definitions))


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


def restrictions(text: str, file: str, includes: Includes, domain: str) -> list[str]:
    """Return the statements by which nginx itself may refuse a request for `/`: names and passwords, addresses.

    Raises Drift as `server_block` does.
    """
    server = whole_server(text, file, includes, domain)
    statement = destinations.serving(server, "/").statement
    blocks = (statement, server) if statement.name == "location" else (server,)
    found: list[str] = []
    for names in (("auth_basic",), ("allow", "deny"), ("auth_request",)):
        # What a location says of one kind takes the place of what the server block says of it.
        said = next((own for block in blocks if (own := _named(block, names))), [])
        found += [str(child) for child in said if child.name != "allow" and child.values[:1] != ("off",)]
    return found


def _named(block: Statement, names: Sequence[str]) -> list[Statement]:
    return [child for child in block.children if child.name in names]


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
