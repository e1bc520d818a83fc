"""Upstreams, and the locations in advanced_config that send some path prefixes to an upstream of their own.

Our own such location stands between markers, the managed block; NPM pastes it with the rest of advanced_config.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..system.machine import StepFailed
from ..wire.edge import Upstream
from .nginx import Directive, Token, parse, splice, top_comments

BEGIN = "# islandflow: begin (managed, do not edit)"
END = "# islandflow: end"

_PREFIX = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9_.][A-Za-z0-9_.-]*\Z")
_ROUTES = re.compile(r"~\*?\^/\((?P<prefixes>[A-Za-z0-9_.|\\-]+)\)")
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


class Drift(StepFailed):
    """The edge's database and files disagree, or have contents that a switch cannot change safely."""


@dataclass(frozen=True)
class RouteBlock:
    """A regular-expression location that sends some prefixes to an upstream of their own."""

    prefixes: tuple[str, ...]
    upstream: Upstream | None
    directive: Directive


def managed_block(prefixes: Sequence[str], upstream: Upstream) -> str:
    """Return the managed block, markers included. Raises ValueError for a prefix that is not a plain word."""
    for prefix in prefixes:
        if not _PREFIX.match(prefix):
            raise ValueError(f"{prefix!r} is no plain path prefix")
    return _BLOCK.format(
        begin=BEGIN,
        end=END,
        prefixes="|".join(prefix.replace(".", r"\.") for prefix in prefixes),  # or a dot would be any character
        scheme=upstream.scheme,
        host=upstream.host,
        port=upstream.port,
    )


def managed_config(current: str, block: str) -> str:
    """Return the advanced_config `current` with `block` as its one managed block.

    Replaces our marked block; adopts blocks of the old scripts' making, the first place winning since nginx
    takes the first matching location; else appends. Raises Drift where that would lose something of an
    operator's, and ParseError for a text that is not complete directives.
    """
    prefixes = set(route_blocks(parse(block))[0].prefixes)
    managed = _managed_regions(current)
    regions = managed + [
        (old.directive.start, old.directive.end)
        for old in route_blocks(parse(current))
        if not any(start <= old.directive.start < end for start, end in managed) and _is_legacy_block(old, prefixes)
    ]
    if not regions:
        separator = "" if not current or current.endswith("\n") else "\n"
        return current + separator + block
    first, *others = sorted(regions)
    # The closing marker is a comment: whatever follows must start on a line of its own.
    ends_line = current[first[1] :].startswith(("\n", "\r\n")) or first[1] == len(current)
    edits = [(first[0], first[1], block if ends_line else block + "\n")]
    edits += [(*_whole_lines(current, region), "") for region in others]
    return splice(current, edits)


def route_blocks(directives: Sequence[Directive]) -> list[RouteBlock]:
    """Return the locations among `directives` of the form `~ ^/(a|b|…)…` that set their own upstream."""
    blocks = []
    for directive in directives:
        match = _ROUTES.match("".join(directive.values)) if directive.name == "location" else None
        if match and directive.find("set", "$server"):
            prefixes = tuple(match["prefixes"].replace("\\", "").split("|"))
            blocks.append(RouteBlock(prefixes, upstream_of(upstream_words(directive)), directive))
    return blocks


def is_route_block(location: Directive, prefixes: Sequence[str]) -> bool:
    """Whether a location is a block of ours, marked or not yet: it routes API prefixes and does nothing else."""
    return any(set(block.prefixes).issubset(prefixes) for block in route_blocks([location])) and not _foreign(location)


def upstream_words(block: Directive) -> dict[str, Token]:
    """Return the value words of a block's own upstream variables, by variable; the first of each."""
    words: dict[str, Token] = {}
    for directive in block.find("set"):
        if len(directive.args) == 2 and directive.values[0] in ("$forward_scheme", "$server", "$port"):
            words.setdefault(directive.values[0], directive.args[1])
    return words


def upstream_of(words: dict[str, Token]) -> Upstream | None:
    """Return the upstream in these words; None where they have none, or none that nginx could use."""
    values = {name: word.value for name, word in words.items()}
    try:
        return Upstream(values["$server"], int(values["$port"]), values.get("$forward_scheme", "http"))
    except (KeyError, ValueError):
        return None


def _managed_regions(text: str) -> list[tuple[int, int]]:
    """Return the regions between our markers, markers included."""
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


def _is_legacy_block(old: RouteBlock, prefixes: set[str]) -> bool:
    """Whether the old scripts wrote an unmarked block. Raises Drift for one that has something of an operator's too."""
    if not prefixes.intersection(old.prefixes):
        return False
    where = f"line {old.directive.line}: an unmarked location"
    others = [prefix for prefix in old.prefixes if prefix not in prefixes]
    if others:
        raise Drift(
            f"{where} routes API prefixes and also {', '.join(others)}: "
            "add these to the inventory's prefixes, or give them a location of their own"
        )
    extra = _foreign(old.directive)
    if extra:
        raise Drift(f"{where} routes API prefixes and also has `{'`, `'.join(extra)}`: move that elsewhere")
    return True


def _foreign(block: Directive) -> list[str]:
    """Return the statements of a block that the old scripts did not write."""
    statements = [(child.name, *child.values[:1]) for child in block.children or ()]
    return [" ".join(words) for words in statements if words not in _BLOCK_DIRECTIVES]


def _whole_lines(text: str, region: tuple[int, int]) -> tuple[int, int]:
    """Extend a region to whole lines when nothing else stands on them."""
    start, end = region
    line_start = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    line_end = len(text) if line_end < 0 else line_end + 1
    if text[line_start:start].strip() or text[end:line_end].strip():
        return region
    return line_start, line_end
