"""Reads nginx's configuration as the edge has it: where all that is not ours leads, and whom our hosts let in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...system.machine import StepFailed
from ...wire.edge import EdgeContainer, EdgeRef, Forward, HostFact, ProxyHost, has_name
from .. import database, hostfile
from ..nginx import ParseError, parse
from . import destinations
from .locations import (
    DEFINITIONS,
    HTTP,
    Includes,
    Statement,
    expanded,
    included,
    included_names,
    matches,
    whole_server,
)

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
# What lets in only some, and nginx's status for the others.
_REFUSALS = {
    ("auth_basic", "auth_digest", "auth_jwt"): (401,),
    ("allow", "deny"): (403,),
    ("auth_request",): (401, 403),
    ("ssl_verify_client",): (496,),
    ("access_by_lua", "access_by_lua_block", "access_by_lua_file"): (401, 403, 302),
}
_CERTIFICATE = (495, 496)  # nginx' own for a bad certificate of the client's or none; without an error_page it is 400
_REDIRECTS = (301, 302, 303, 307, 308)
_GENERATED = re.compile(r"/data/nginx/(proxy_host|stream)/(\d+)\.conf")


@dataclass(frozen=True)
class Configuration:
    """The files of nginx's http and stream blocks: path in the container → statements, with what they include."""

    http: Mapping[str, Sequence[Statement]]
    stream: Mapping[str, Sequence[Statement]]
    includes: Includes
    unread: Mapping[str, str]  # path → why it can't be read


def read(ref: EdgeRef, container: EdgeContainer) -> Configuration:
    """Return all that nginx reads in its two blocks, but for NPM's own nginx.conf."""
    includes = included(ref, container, "".join(f"include {pattern};\n" for pattern in (*_HTTP, *_STREAM)))
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


def restrictions(text: str, file: str, includes: Includes, domain: str) -> dict[str, tuple[int, ...]]:
    """Return the statements by which nginx itself may refuse a GET of `/`, each with the statuses of such an answer.

    NO_ANSWER is the status of none. Raises Drift as `server_block` does.
    """
    server = whole_server(text, file, includes, domain)
    statement = destinations.serving(server, "/").statement
    blocks = (statement, server) if statement.name == "location" else (server,)
    found: dict[str, tuple[int, ...]] = {}
    for names, statuses in _REFUSALS.items():
        # What a location says of one kind takes the place of what the server block says of it.
        said = next((own for block in blocks if (own := _named(block, names))), [])
        found.update({str(child): statuses for child in said if child.name != "allow" and _refuses(child)})
    known = {"$request_method": "GET", "$host": domain, "$http_host": domain}
    known["$scheme"] = "https" if hostfile.serves_tls(server.directive) else "http"
    for condition in (child for block in blocks for child in _named(block, ("if",))):
        returned = [_returned(child) for child in _named(condition, ("return",))]
        if returned and returned[0] >= 300 and _may_hold(condition, known):
            found[str(condition)] = (returned[0],)
    pages = next((own for block in blocks if (own := _named(block, ("error_page",)))), [])
    return {
        words: tuple(dict.fromkeys(code for status in statuses for code in _shown_as(status, pages, server)))
        for words, statuses in found.items()
    }


def _named(block: Statement, names: Sequence[str]) -> list[Statement]:
    return [child for child in block.children if child.name in names]


def _refuses(statement: Statement) -> bool:
    if statement.name == "ssl_verify_client":
        return statement.values[:1] == ("on",)
    return statement.values[:1] != ("off",)


def _returned(statement: Statement) -> int:
    """Return the status of a `return`; 302 for one that only has an address."""
    value = statement.values[0] if statement.values else ""
    return int(value) if value.isascii() and value.isdigit() else 302


def _may_hold(condition: Statement, known: Mapping[str, str]) -> bool:
    """Whether an `if` may hold for a request of ours, of which some variables are known."""
    words = " ".join(condition.values)[1:].rpartition(")")[0].split(None, 2)
    if len(words) != 3 or words[0] not in known:
        return True
    value, operator, operand = known[words[0]], *words[1:]
    if operator in ("=", "!="):
        return (value.lower() == operand.lower()) == (operator == "=")
    matched = matches(operand.strip("\"' "), value, caseless=operator.endswith("*"))
    return matched is None or matched != operator.startswith("!")


def _shown_as(status: int, pages: Sequence[Statement], server: Statement) -> tuple[int, ...]:
    """Return the statuses that a request gets for one of nginx's own, after error_page."""
    plain = 400 if status in _CERTIFICATE else status
    for *codes, target in (page.values for page in pages if page.values):
        shown = next((code[1:] for code in codes if code.startswith("=")), None)
        if str(status) not in codes and str(plain) not in codes:
            continue
        if shown:
            return (int(shown),) if shown.isascii() and shown.isdigit() else (plain,)
        if target.startswith(("http", "$scheme")):
            return (302,)
        if shown is None:
            return (plain,)
        handlers = [child for child in _named(server, ("location",)) if child.values[-1:] == (target,)]
        returned = [_returned(child) for handler in handlers for child in _named(handler, ("return",))]
        return tuple(returned) or (plain, *_REDIRECTS)
    return (plain,)
