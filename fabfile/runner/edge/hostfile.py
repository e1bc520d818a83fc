"""Reads and edits the generated file of one NPM proxy host.

Of a file only three things are ours: the host's own `set $forward_scheme/$server/$port`, which stand directly
in the server block; the managed block inside the advanced_config, which NPM pastes verbatim at column 0
behind its log lines; and during maintenance the statements of `maintenance`, which the row knows nothing of.
Everything else stays as it is, byte for byte.
"""

from __future__ import annotations

import hashlib

from ..wire.edge import Upstream, has_name
from .nginx import Directive, ParseError, Token, parse, splice
from .routes import Drift, route_blocks, upstream_of, upstream_words

_BEFORE_ROOT = "\n" * 6 + "  "  # what NPM writes between advanced_config and `location /`

LOST_TLS = "certificate {} in the database, and its file does not listen on port 443, so that HTTPS is refused"


def to_text(content: bytes) -> str:
    """Decode a file's bytes so that `to_bytes` returns the very same bytes again."""
    return content.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """Encode a text that `to_text` returned."""
    return text.encode("utf-8", "surrogateescape")


def digest(text: str) -> str:
    """Return the SHA-256 of a text that `to_text` returned, in hexadecimal."""
    return hashlib.sha256(to_bytes(text)).hexdigest()


def server_block(text: str, domain: str) -> Directive:
    """Return the one server block for `domain`. Raises Drift when there is none or several, or no configuration."""
    try:
        top = parse(text)
    except ParseError as error:
        raise Drift(f"{domain}: its file is not nginx configuration: {error}") from error
    servers = [
        server
        for server in top
        if server.name == "server" and any(has_name(names.values, domain) for names in server.find("server_name"))
    ]
    if len(servers) != 1:
        raise Drift(f"{domain}: its file has {len(servers)} server blocks of that name instead of one")
    return servers[0]


def has_server(text: str) -> bool:
    """Whether a file has a server block at all; a text that is no configuration counts as one that has."""
    try:
        return any(directive.name == "server" for directive in parse(text))
    except ParseError:
        return True


def serves_tls(server: Directive) -> bool:
    """Whether a server block listens with TLS."""
    return any("ssl" in listen.values for listen in server.find("listen"))


def own_upstream(server: Directive) -> Upstream | None:
    """Return the server block's own upstream, without its locations; None when it has none."""
    return upstream_of(upstream_words(server))


def updated_file(text: str, domain: str, upstream: Upstream, old_advanced: str, new_advanced: str) -> str:
    """Return a host's file with its own upstream and its advanced_config replaced.

    `old_advanced` must stand exactly where NPM pastes it. Raises Drift, naming the host and what differs.
    """
    server = server_block(text, domain)
    start = _advanced_start(text, server, domain)
    end = start + len(old_advanced)
    if text[start:end] != old_advanced or text[end : end + 2] != "\n\n":
        raise Drift(f"{domain}: advanced_config differs: {_difference(text[start:], old_advanced)}")
    return _edit(text, server, domain, upstream, (start, end), new_advanced)


def repaired_file(text: str, domain: str, upstream: Upstream, advanced: str) -> str:
    """Return a host's file with `advanced` in place of whatever stands where NPM pastes advanced_config.

    For a host without custom locations only: those stand there, too. What a script has inserted directly before
    `location /` is replaced as well. Raises Drift as `updated_file` does.
    """
    server = server_block(text, domain)
    start = _advanced_start(text, server, domain)
    roots = [root.start for root in server.find("location", "/") if text[: root.start].endswith("\n  ")]
    pasted = [root - len(_BEFORE_ROOT) for root in roots if text[:root].endswith(_BEFORE_ROOT)]
    if pasted and pasted[-1] >= start:
        return _edit(text, server, domain, upstream, (start, pasted[-1]), advanced)
    if len(roots) != 1 or roots[0] < start:
        raise Drift(f"{domain}: its file has no `location /` where NPM writes it")
    repaired = splice(text, [(start, roots[0], advanced + _BEFORE_ROOT)])
    server = server_block(repaired, domain)
    return _edit(repaired, server, domain, upstream, (start, start + len(advanced)), advanced)


def _edit(text: str, server: Directive, domain: str, upstream: Upstream, region: tuple[int, int], advanced: str) -> str:
    """Return the file with another upstream of its own and, in the region, another advanced_config."""
    edits = [(*region, advanced)] if text[region[0] : region[1]] != advanced else []
    values = {"$forward_scheme": upstream.scheme, "$server": upstream.host, "$port": str(upstream.port)}
    for name, word in _own_settings(server, domain).items():
        value = values[name]
        if word.value != value:
            edits.append((word.start, word.end, f'"{value}"' if name == "$server" else value))
    result = splice(text, edits)
    _check_routes(result, domain, advanced)
    return result


def _own_settings(server: Directive, domain: str) -> dict[str, Token]:
    words = upstream_words(server)
    for name in ("$forward_scheme", "$server", "$port"):
        count = len(server.find("set", name))
        if count != 1:
            raise Drift(f"{domain}: its server block has `set {name}` {count} times instead of once")
    return words


def _advanced_start(text: str, server: Directive, domain: str) -> int:
    """Return the offset at which NPM pastes advanced_config: after the error_log line and one empty line."""
    logs = server.find("error_log")
    if not logs or text[logs[0].end : logs[0].end + 2] != "\n\n":
        raise Drift(f"{domain}: its file has no error_log line followed by an empty one, as NPM writes it")
    return logs[0].end + 2


def _check_routes(text: str, domain: str, advanced: str) -> None:
    """Raise Drift for a file that routes our prefixes once more, in a block that the database does not have."""
    expected = route_blocks(parse(advanced))
    prefixes = {prefix for block in expected for prefix in block.prefixes}
    blocks = [
        block
        for block in route_blocks(server_block(text, domain).children or ())
        if prefixes.intersection(block.prefixes)
    ]
    if len(blocks) != len(expected):
        lines = ", ".join(str(block.directive.line) for block in blocks)
        raise Drift(
            f"{domain}: its file would route the same prefixes {len(blocks)} times (lines {lines}), "
            f"its advanced_config in the database {len(expected)} times"
        )


def _difference(in_file: str, in_database: str) -> str:
    file_lines, database_lines = in_file.split("\n"), in_database.split("\n")
    for number, line in enumerate(database_lines):
        other = file_lines[number] if number < len(file_lines) else ""
        if other != line:
            return f"line {number + 1} is {line.strip()!r} in the database, {other.strip()!r} in the file"
    return f"the file goes on with {file_lines[len(database_lines)].strip()!r} where the database ends"
