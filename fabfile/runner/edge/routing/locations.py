"""Works out which location of a host's server block serves a path, as nginx chooses it.

nginx's rules are those of ngx_http_core_find_location: an exact location, else the longest prefix and what is nested
in it, unless a regular expression matches before (in the order of the file; `^~` leaves them out).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...wire.edge import EdgeContainer, EdgeRef
from ..hostfile import server_block, to_text
from ..nginx import Directive, ParseError, parse
from ..routes import Drift

Includes = Mapping[str, Mapping[str, str]]  # what an `include` names → the files that it stands for, and their texts
PROXY = "conf.d/include/proxy.conf"  # NPM's own, which passes requests on
NPMS_FOLDER = "conf.d/include/"  # whose other files have no location for the app's paths
HTTP = "http"  # names in Includes what is defined for all hosts, outside their server blocks
DEFINITIONS = ("upstream", "map", "geo", "split_clients")
VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)\}")
PASSES = ("proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass")

# What it says stands here for a container that does not run.
_NPMS_OWN = {PROXY: {PROXY: "proxy_pass $forward_scheme://$server:$port$request_uri;"}}
_DEEPEST = 8  # includes within includes, variables within variables
_AUTHORITY = re.compile(r"(?:[^/?]*://)?[^/?]*")
_MOST_INCLUDES = 50  # of a file


@dataclass(frozen=True)
class Statement:
    """A directive and the file that it stands in. What a directive includes stands in its place."""

    file: str
    directive: Directive
    children: tuple[Statement, ...]

    @property
    def name(self) -> str:
        return self.directive.name

    @property
    def values(self) -> tuple[str, ...]:
        return self.directive.values

    def at(self, line: int) -> str:
        """What it is and where it stands, for people."""
        return f"`{' '.join((self.name, *self.values))}` ({self.file}, line {line})"

    def __str__(self) -> str:
        return self.at(self.directive.line)


class Undecided(Exception):
    """No location is chosen because of `statement`: nginx redirects the request, or what it would do is unknown."""

    def __init__(self, statement: Statement, text: str, redirected: bool = False) -> None:
        super().__init__(text)
        self.statement, self.text, self.redirected = statement, text, redirected


def whole_server(text: str, file: str, includes: Includes, domain: str) -> Statement:
    """Return a host's server block with all that it includes, and what is defined outside of it. Raises Drift."""
    block = server_block(text, domain)
    try:
        inside = list(expanded(block.children or (), file, includes))
        for path, definitions in ((file, text), *includes.get(HTTP, {}).items()):
            found = [directive for directive in parse(definitions) if directive.name in DEFINITIONS]
            inside += expanded(found, path, includes)
    except RecursionError:
        raise Drift(f"{domain}: its blocks are nested too deeply to be read") from None
    return Statement(file, block, tuple(inside))


def included_names(text: str) -> list[str]:
    """Return what a text includes, as written; none for a text that is no configuration."""
    try:
        pending = parse(text)
    except ParseError:
        return []
    names: list[str] = []
    while pending:
        directive = pending.pop()
        pending += directive.children or ()
        if directive.name == "include":
            names += directive.values[:1]
    return list(dict.fromkeys(names))


def included(ref: EdgeRef, container: EdgeContainer, text: str) -> dict[str, dict[str, str]]:
    """Return what a text includes, and what that includes: each `include` as written → path → text.

    What can't be read is left out. Of NPM's own files only the one that passes requests on is read.
    """
    found: dict[str, dict[str, str]] = {}
    texts = [text]
    while texts and len(found) < _MOST_INCLUDES:
        for name in included_names(texts.pop()):
            if name in found or (name.startswith(NPMS_FOLDER) and name != PROXY):
                continue
            try:
                paths = _paths_of(ref, container, name)
                files = {inside: to_text(path.read_bytes()) for inside, path in paths.items()}
            except OSError:
                continue
            if files or set("*?[").intersection(name):
                found[name] = files
                texts += files.values()
    return found


def _paths_of(ref: EdgeRef, container: EdgeContainer, name: str) -> dict[str, Path]:
    """Return the files that an `include` stands for: path in the container → path on this machine."""
    inside = PurePosixPath("/etc/nginx", name)
    below = re.sub(r"\*+", "*", str(inside)[1:])  # which nginx takes for one, and Python does not
    if inside.parts[:2] == ("/", "data"):
        base = Path(ref.root)
    elif container.running:
        base = Path(f"/proc/{container.pid}/root")
    else:
        return {}
    if not below:
        return {}
    # A link could lead out of the container, where its path means another file.
    return {
        f"/{path.relative_to(base)}": path
        for path in sorted(base.glob(below))
        if path.is_file() and not path.is_symlink()
    }


def expanded(
    directives: Sequence[Directive], file: str, includes: Includes, within: tuple[str, ...] = ()
) -> Iterator[Statement]:
    """Yield the directives with what they include in its place; what includes itself is left as it is written."""
    for directive in directives:
        name = directive.values[0] if directive.name == "include" and directive.values else ""
        files = includes.get(name, _NPMS_OWN.get(name))
        if files is None and (name.startswith(NPMS_FOLDER) or set("*?[").intersection(name)):
            continue  # a pattern may stand for no file at all
        if not name or files is None or name in within or len(within) > _DEEPEST:
            children = tuple(expanded(directive.children or (), file, includes, within))
            yield Statement(file, directive, children)
            continue
        for included, text in files.items():
            try:
                inside = parse(text)
            except ParseError:
                yield Statement(file, directive, ())
                continue
            yield from expanded(inside, included, includes, (*within, name))


def pattern(location: Statement) -> tuple[str, str]:
    """Return a location's modifier (`=`, `^~`, `~`, `~*`, `@` or none) and what stands behind it."""
    words = location.values
    if len(words) == 2:
        return words[0], words[1]
    for modifier in ("=", "^~", "~*", "~", "@"):
        if words[0].startswith(modifier):
            return modifier, words[0][len(modifier) :]
    return "", words[0]


def chosen(parent: Statement, path: str) -> tuple[Statement | None, bool]:
    """Return the location in `parent` that serves the path, and whether that leaves out the regular expressions beside.

    Raises Undecided.
    """
    locations = [(*pattern(child), child) for child in parent.children if child.name == "location" and child.values]
    exact = [child for modifier, name, child in locations if modifier == "=" and name == path]
    if exact:
        return exact[0], True
    prefixes = [entry for entry in locations if entry[0] in ("", "^~") and path.startswith(entry[1])]
    modifier, name, best = max(prefixes, key=lambda entry: len(entry[1]), default=("", "", None))
    slashed = [child for kind, other, child in locations if kind in ("", "^~", "=") and other == f"{path}/"]
    if slashed and name != path and any(child.name in PASSES for child in slashed[0].children):
        raise Undecided(slashed[0], "has nginx redirect it to the same path with a slash", redirected=True)
    if best is not None:
        nested, final = chosen(best, path)
        if final:
            return nested, True
        best = nested or best
    for kind, expression, child in locations:
        if kind not in ("~", "~*") or modifier == "^~":
            continue
        matched = matches(expression, path, caseless=kind == "~*")
        if matched is None:
            raise Undecided(child, "may come first: its regular expression can't be read here")
        if matched:
            return chosen(child, path)[0] or child, True
    return best, False


def matches(expression: str, path: str, caseless: bool = False) -> bool | None:
    """Whether a regular expression of PCRE's matches; None where Python may understand it differently."""
    if "[[:" in expression:
        return None
    flags = re.ASCII | (re.IGNORECASE if caseless else 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return bool(re.search(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", expression), path, flags))
    except (re.error, Warning, RecursionError, OverflowError):
        return None


def resolved(written: str, choices: Mapping[str, Sequence[str]], depth: int = 0) -> Iterator[str]:
    """Yield scheme, host and port in a text with every value of its variables; what has no value stays."""
    match = _AUTHORITY.match(written)
    text = match[0] if match else written
    for variable in VARIABLE.finditer(text) if depth < _DEEPEST else ():
        for value in choices.get(f"${variable[1] or variable[2]}", ()):
            yield from resolved(text[: variable.start()] + value + text[variable.end() :], choices, depth + 1)
        if f"${variable[1] or variable[2]}" in choices:
            return
    yield text


def members(server: Statement, name: str) -> list[str]:
    """Return the hosts of the upstream block of that name."""
    servers = [child for child in in_upstream(server, name) if child.name == "server" and child.values]
    return [child.values[0].split(":")[0] for child in servers]


def in_upstream(server: Statement, name: str) -> list[Statement]:
    """Return what stands in the upstream block of that name."""
    blocks = [child for child in server.children if child.name == "upstream" and child.values]
    return [inside for block in blocks if block.values[0].lower() == name.lower() for inside in block.children]
