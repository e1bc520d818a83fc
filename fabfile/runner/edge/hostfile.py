"""The generated file of one NPM proxy host, and our managed block in its advanced_config.

Of a file only two things are ours: the host's own `set $forward_scheme/$server/$port`, which stand directly
in the server block, and the managed block inside the advanced_config, which NPM pastes verbatim at column 0
behind its log lines. Everything else stays as it is, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..system.machine import StepFailed
from ..wire.edge import Upstream
from .nginx import Directive, ParseError, Token, parse, splice, top_comments

BEGIN = "# islandflow: begin (managed, do not edit)"
END = "# islandflow: end"

_PREFIX = re.compile(r"[A-Za-z0-9_-]+\Z")
_ROUTES = re.compile(r"~\*?\^/\((?P<prefixes>[A-Za-z0-9_|\\-]+)\)")
# What the old scripts wrote into a block; anything else in there is an operator's own.
_BLOCK_DIRECTIVES = {
    ("set", "$forward_scheme"),
    ("set", "$server"),
    ("set", "$port"),
    ("proxy_set_header", "Upgrade"),
    ("proxy_set_header", "Connection"),
    ("proxy_http_version", "1.1"),
    ("include", "conf.d/include/proxy.conf"),
}

_BLOCK = """\
{begin}
location ~ ^/({prefixes})(/|$) {{
  set $forward_scheme {scheme};
  set $server         "{host}";
  set $port           {port};

  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $http_connection;
  proxy_http_version 1.1;

  include conf.d/include/proxy.conf;
}}
{end}"""


_BEFORE_ROOT = "\n" * 6 + "  "  # what NPM writes between advanced_config and `location /`


class Drift(StepFailed):
    """The edge's database and files do not say the same, or not what a switch can safely build on."""


@dataclass(frozen=True)
class RouteBlock:
    """A regular-expression location that sends some prefixes to an upstream of their own."""

    prefixes: tuple[str, ...]
    upstream: Upstream | None
    directive: Directive


def managed_block(prefixes: Sequence[str], upstream: Upstream) -> str:
    """The text between and including our markers. Raises ValueError for a prefix that is not a plain word."""
    for prefix in prefixes:
        if not _PREFIX.match(prefix):
            raise ValueError(f"{prefix!r} is no plain path prefix")
    return _BLOCK.format(
        begin=BEGIN,
        end=END,
        prefixes="|".join(prefixes),
        scheme=upstream.scheme,
        host=upstream.host,
        port=upstream.port,
    )


def managed_config(current: str, block: str) -> str:
    """`current` advanced_config with `block` as its one managed block.

    Replaces our marked block; adopts blocks of the old scripts' making, the first place winning since nginx
    takes the first matching location; else appends. Raises Drift where that would lose something of an
    operator's, and ParseError for a text that is not complete directives.
    """
    prefixes = set(route_blocks(parse(block))[0].prefixes)
    marked = _marked(current)
    regions = marked + [
        (old.directive.start, old.directive.end)
        for old in route_blocks(parse(current))
        if not any(start <= old.directive.start < end for start, end in marked) and _adopted(old, prefixes)
    ]
    if not regions:
        between = "" if not current or current.endswith("\n") else "\n"
        return current + between + block
    first, *others = sorted(regions)
    # The closing marker is a comment: whatever follows must start on a line of its own.
    alone = current[first[1] :].startswith(("\n", "\r\n")) or first[1] == len(current)
    edits = [(first[0], first[1], block if alone else block + "\n")]
    edits += [(*_whole_lines(current, region), "") for region in others]
    return splice(current, edits)


def route_blocks(directives: Sequence[Directive]) -> list[RouteBlock]:
    """The locations among `directives` of the form `~ ^/(a|b|…)…` that set their own upstream."""
    found = []
    for directive in directives:
        match = _ROUTES.match("".join(directive.values)) if directive.name == "location" else None
        if match and directive.find("set", "$server"):
            prefixes = tuple(match["prefixes"].replace("\\", "").split("|"))
            found.append(RouteBlock(prefixes, _upstream(_settings(directive)), directive))
    return found


def server_block(text: str, domain: str) -> Directive:
    """The one server block for `domain`. Raises Drift when there is none or several, or no configuration."""
    try:
        top = parse(text)
    except ParseError as error:
        raise Drift(f"{domain}: its file is not nginx configuration: {error}") from error
    found = [
        server
        for server in top
        if server.name == "server" and any(domain in names.values for names in server.find("server_name"))
    ]
    if len(found) != 1:
        raise Drift(f"{domain}: its file has {len(found)} server blocks of that name instead of one")
    return found[0]


def own_upstream(server: Directive) -> Upstream | None:
    """Where the server block itself sends requests, its locations apart; None when it does not say."""
    return _upstream(_settings(server))


def updated_file(text: str, domain: str, upstream: Upstream, old_advanced: str, new_advanced: str) -> str:
    """A host's file with its own upstream and its advanced_config replaced.

    `old_advanced` must stand exactly where NPM pastes it. Raises Drift, naming the host and what differs.
    """
    server = server_block(text, domain)
    start = _advanced_at(text, server, domain)
    end = start + len(old_advanced)
    if text[start:end] != old_advanced or text[end : end + 2] != "\n\n":
        raise Drift(f"{domain}: advanced_config differs: {_difference(text[start:], old_advanced)}")
    return _edited(text, server, domain, upstream, (start, end), new_advanced)


def mended_file(text: str, domain: str, upstream: Upstream, advanced: str) -> str:
    """A host's file with `advanced` in place of whatever stands where NPM pastes advanced_config.

    For a host without custom locations only: those stand there, too. What a script has put in directly before
    `location /` goes with it. Raises Drift as `updated_file` does.
    """
    server = server_block(text, domain)
    start = _advanced_at(text, server, domain)
    roots = [root.start for root in server.find("location", "/") if text[: root.start].endswith("\n  ")]
    pasted = [root - len(_BEFORE_ROOT) for root in roots if text[:root].endswith(_BEFORE_ROOT)]
    if pasted and pasted[-1] >= start:
        return _edited(text, server, domain, upstream, (start, pasted[-1]), advanced)
    if len(roots) != 1 or roots[0] < start:
        raise Drift(f"{domain}: its file has no `location /` where NPM writes it")
    whole = splice(text, [(start, roots[0], advanced + _BEFORE_ROOT)])
    server = server_block(whole, domain)
    return _edited(whole, server, domain, upstream, (start, start + len(advanced)), advanced)


def _edited(
    text: str, server: Directive, domain: str, upstream: Upstream, region: tuple[int, int], advanced: str
) -> str:
    """The file with another upstream of its own and, in the region, another advanced_config."""
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
    settings = _settings(server)
    for name in ("$forward_scheme", "$server", "$port"):
        count = len(server.find("set", name))
        if count != 1:
            raise Drift(f"{domain}: its server block says `set {name}` {count} times instead of once")
    return settings


def _settings(block: Directive) -> dict[str, Token]:
    """The value words of a block's own upstream variables, by variable; the first of each."""
    found: dict[str, Token] = {}
    for directive in block.find("set"):
        if len(directive.args) == 2 and directive.values[0] in ("$forward_scheme", "$server", "$port"):
            found.setdefault(directive.values[0], directive.args[1])
    return found


def _upstream(settings: dict[str, Token]) -> Upstream | None:
    values = {name: word.value for name, word in settings.items()}
    try:
        return Upstream(values["$server"], int(values["$port"]), values.get("$forward_scheme", "http"))
    except (KeyError, ValueError):
        return None


def _advanced_at(text: str, server: Directive, domain: str) -> int:
    """Where NPM pastes advanced_config: behind the host's error_log line and one empty line."""
    logs = server.find("error_log")
    if not logs or text[logs[0].end : logs[0].end + 2] != "\n\n":
        raise Drift(f"{domain}: its file has no error_log line followed by an empty one, as NPM writes it")
    return logs[0].end + 2


def _check_routes(text: str, domain: str, advanced: str) -> None:
    """Refuse a file that routes our prefixes once more, in a block that the database knows nothing of."""
    known = route_blocks(parse(advanced))
    ours = {prefix for block in known for prefix in block.prefixes}
    blocks = [
        block for block in route_blocks(server_block(text, domain).children or ()) if ours.intersection(block.prefixes)
    ]
    if len(blocks) != len(known):
        lines = ", ".join(str(block.directive.line) for block in blocks)
        raise Drift(
            f"{domain}: its file would route the same prefixes {len(blocks)} times (lines {lines}), "
            f"its advanced_config in the database {len(known)} times"
        )


def _marked(text: str) -> list[tuple[int, int]]:
    """The regions between our markers, markers included."""
    regions: list[tuple[int, int]] = []
    begin: Token | None = None
    for comment in top_comments(text):
        words = comment.value.rstrip()
        if words not in (BEGIN, END):
            continue
        if (words == BEGIN) == (begin is not None):
            raise Drift(f"line {comment.line}: `{words}` without its counterpart")
        if begin is not None:
            regions.append((begin.start, comment.start + len(words)))
        begin = comment if words == BEGIN else None
    if begin is not None:
        raise Drift(f"line {begin.line}: `{BEGIN}` without its counterpart")
    return regions


def _adopted(old: RouteBlock, prefixes: set[str]) -> bool:
    """Whether an unmarked block is of the old scripts' making. Raises Drift for one that is only half so."""
    if not prefixes.intersection(old.prefixes):
        return False
    where = f"line {old.directive.line}: an unmarked location"
    foreign = [prefix for prefix in old.prefixes if prefix not in prefixes]
    if foreign:
        raise Drift(
            f"{where} routes API prefixes and also {', '.join(foreign)}: "
            "add these to the inventory's prefixes, or give them a location of their own"
        )
    said = [(child.name, *child.values[:1]) for child in old.directive.children or ()]
    extra = [" ".join(words) for words in said if words not in _BLOCK_DIRECTIVES]
    if extra:
        raise Drift(f"{where} routes API prefixes and also says `{'`, `'.join(extra)}`: move that elsewhere")
    return True


def _whole_lines(text: str, region: tuple[int, int]) -> tuple[int, int]:
    """A region grown to whole lines when nothing else stands on them."""
    start, end = region
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end + 1
    if text[line_start:start].strip() or text[end:line_end].strip():
        return region
    return line_start, line_end


def _difference(found: str, wanted: str) -> str:
    theirs, ours = found.split("\n"), wanted.split("\n")
    for number, line in enumerate(ours):
        there = theirs[number] if number < len(theirs) else ""
        if there != line:
            return f"line {number + 1} is {line.strip()!r} in the database, {there.strip()!r} in the file"
    return f"the file goes on with {theirs[len(ours)].strip()!r} where the database ends"
