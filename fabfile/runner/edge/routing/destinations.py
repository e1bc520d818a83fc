"""Works out where a location sends its requests: where the row or our block leads, or to a place of its own."""

from __future__ import annotations

import itertools
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from ..routes import is_route_block
from .locations import (
    DEFINITIONS,
    PASSES,
    VARIABLE,
    Includes,
    Statement,
    Undecided,
    chosen,
    in_upstream,
    matches,
    members,
    pattern,
    resolved,
    whole_server,
)

ROW, BLOCK, FIXED, NGINX, UNKNOWN = "row", "block", "fixed", "nginx", "unknown"
Variables = dict[str, Optional[str]]  # by name, with its dollar; None where the value depends on the request

# Stands for any path of which no location knows. Short: a regular expression that tries everything is over soon.
_SAMPLE = "q7-z"
_OWN = {"$forward_scheme": "\0scheme", "$server": "\0server", "$port": "\0port"}  # for the values that the row has
_PLACE = re.compile(
    r"(?:(?P<scheme>[\w\0]+)://)?(?P<host>[^/:$]+)(?::(?P<port>\d+|\0port))?(?:[/?].*|\$(?:request_)?uri.*)?"
)
# An address' host, where that is known.
_HOST = re.compile(r"(?:[\w\0]+://)?(?P<host>[^/:?$\[]+)(?:[/?]|:[\d$\0]|\Z|\$(?:request_)?uri\b)")
_MOST_PLACES = 200  # of one pass
_PROGRAMS = ("content_by_lua", "js_content", "perl")  # write the answer by themselves


@dataclass(frozen=True)
class Outcome:
    """What becomes of a request: `kind`, the statement that decides it, and where it leads, for people."""

    kind: str
    statement: Statement
    text: str
    hosts: tuple[str, ...] = ()  # to which it may be sent other than by the row or our block
    problem: str = ""  # the statements because of which there may be more


def unled(
    text: str,
    file: str,
    includes: Includes,
    domain: str,
    prefixes: Sequence[str],
    path: str = "",
    now: str | None = None,
) -> list[str]:
    """Return what keeps requests for `/`, `path` or a prefix from where the row and our block lead, for people.

    What nginx answers by itself at just one path, other than `path`, is not among it: that is so whoever owns.

    `now` is the file as it is, where `text` is what a change makes of it: each prefix must then be our block's, and
    lines are counted in `now`. Raises Drift as `server_block` does.
    """
    server = whole_server(text, file, includes, domain)
    expected = {sample: ROW for sample in ("/", f"/{_SAMPLE}", path) if sample}
    expected.update({f"/{prefix}{rest}": BLOCK for prefix in prefixes for rest in ("", f"/{_SAMPLE}")})
    wrong: dict[tuple[str, str], list[str]] = {}
    for sample, kind in expected.items():
        outcome = serving(server, sample, prefixes)
        if outcome.kind == kind or (now is None and kind == BLOCK and outcome.kind == ROW):
            continue
        if _answered_alone(outcome) and sample != path:
            continue
        where = outcome.statement.at(_line(outcome.statement, file, text, now))
        wrong.setdefault((where, outcome.text), []).append(sample.replace(_SAMPLE, "…"))
    return [f"{domain}: {', '.join(samples)}: {where} {what}" for (where, what), samples in wrong.items()]


def _answered_alone(outcome: Outcome) -> bool:
    """Whether nginx answers by itself in a location for one path, as in `location = / { return 301 /app; }`."""
    statement = outcome.statement
    return outcome.kind == NGINX and statement.name == "location" and pattern(statement)[0] == "="


def answered_alone(text: str, file: str, includes: Includes, domain: str, prefixes: Sequence[str]) -> list[str]:
    """Return those of `/` and the prefixes that nginx answers so, for people. Raises Drift as `server_block` does."""
    server = whole_server(text, file, includes, domain)
    outcomes = {sample: serving(server, sample, prefixes) for sample in ("/", *(f"/{prefix}" for prefix in prefixes))}
    return [f"{path}: {one.statement} {one.text}" for path, one in outcomes.items() if _answered_alone(one)]


def asked_instead(text: str, file: str, includes: Includes, domain: str, prefixes: Sequence[str], path: str) -> str:
    """Return the path where a redirect of nginx' own at just `path` takes users, if the row or our block leads that.

    Else `path` itself. Raises Drift as `server_block` does.
    """
    server = whole_server(text, file, includes, domain)
    outcome = serving(server, path.split("?")[0], prefixes)
    returned = [child.values[-1] for child in outcome.statement.children if child.name == "return" and child.values]
    if not (_answered_alone(outcome) and returned):
        return path
    target = re.sub(r"^(?:https?|\$scheme)://(?:\$host|\$http_host)(?=/)", "", returned[0])
    try:
        url = urllib.parse.urlsplit(target)
    except ValueError:
        return path
    if "$" in target or not url.path.startswith("/") or url.netloc not in ("", domain):
        return path
    led = serving(server, url.path, prefixes).kind in (ROW, BLOCK)
    return url.path + (f"?{url.query}" if url.query else "") if led else path


def _line(statement: Statement, file: str, text: str, now: str | None) -> int:
    """Return the line of a statement; in the file as it is now, where it stands there as well."""
    start, end = statement.directive.start, statement.directive.end
    found = now.find(text[start:end]) if now is not None and statement.file == file else -1
    return statement.directive.line if now is None or found < 0 else 1 + now.count("\n", 0, found)


def strays(text: str, file: str, includes: Includes, domain: str, prefixes: Sequence[str]) -> list[Outcome]:
    """Return the locations that lead to a place of their own, each with the hosts that it names.

    Raises Drift as `server_block` does.
    """
    return places(whole_server(text, file, includes, domain), prefixes)


def places(server: Statement, prefixes: Sequence[str]) -> list[Outcome]:
    """Return the locations of a server block that lead to a place of their own, each with the hosts that it names."""
    found = []
    for unread in server.children:
        if unread.name == "include":
            found.append(Outcome(UNKNOWN, unread, "can't be read", problem="`include`"))
    for location in _locations(server):
        outcome = _outcome(server, location, None, prefixes)
        if outcome.kind in (FIXED, UNKNOWN) and (outcome.hosts or outcome.problem):
            found.append(outcome)
    return found


def passed_on(server: Statement) -> Outcome:
    """Return where a server block of nginx's stream module sends its connections."""
    hosts, untold, _ = _hosts(server, server, {})
    return Outcome(FIXED, server, "", tuple(hosts), _quoted(untold))


def serving(server: Statement, path: str, prefixes: Sequence[str] = ()) -> Outcome:
    """Return what becomes of a request for `path` that reaches the server block."""
    unread = next((child for child in server.children if child.name == "include"), None)
    if unread is not None:
        return Outcome(UNKNOWN, unread, "can't be read, so which location wins can't be told")
    variables: Variables = {}
    ended = _rewritten(server, path, variables)
    if ended:
        return ended
    try:
        found = chosen(server, path)[0]
    except Undecided as doubt:
        return Outcome(NGINX if doubt.redirected else UNKNOWN, doubt.statement, doubt.text)
    if found is None:
        return Outcome(NGINX, server, "has no location for it: nginx itself answers")
    return _outcome(server, found, path, prefixes)


def _locations(parent: Statement) -> Iterator[Statement]:
    for child in parent.children:
        if child.name == "location" and child.values:
            yield child
            yield from _locations(child)


def _outcome(server: Statement, location: Statement, path: str | None, prefixes: Sequence[str]) -> Outcome:
    """Return where a location sends a request for `path`; without one, where it sends those that it passes on."""
    variables: Variables = {}
    _rewritten(server, None, variables)
    ended = _rewritten(location, path, variables)
    if ended:
        return ended
    named, untold, values = _hosts(server, location, variables)
    programs = [child for child in location.children if child.name.startswith(_PROGRAMS)]
    passes = [child for child in location.children if child.name in PASSES and child.values]
    tried = [child for child in location.children if child.name == "try_files" and child.values[-1:] != ("=404",)]
    unread = [child for child in location.children if child.name == "include"]
    depends = [child for child in location.children if child.name == "if" and _changes_place(child)]
    hosts, problem = tuple(named), _quoted([*untold, *dict.fromkeys(child.name for child in (*unread, *programs))])
    for doubt in (*unread, *programs, *tried, *depends):
        return Outcome(UNKNOWN, location, f"leads where can't be told, because of its `{doubt.name}`", hosts, problem)
    if not passes:
        return Outcome(NGINX, location, "is answered by nginx itself", hosts)
    value = _value(passes[0].values[0], variables)
    place = _PLACE.fullmatch(value) if value is not None else None
    if place is None:
        return Outcome(UNKNOWN, location, f"leads where can't be told: `{passes[0].values[0]}`", hosts, problem)
    if (place["host"], place["port"]) == ("\0server", "\0port") and place["scheme"] in ("http", "\0scheme"):
        return Outcome(ROW, location, "is led by its row")
    if is_route_block(location.directive, prefixes):
        return Outcome(BLOCK, location, "is led by our block")
    block = ", ".join(members(server, place["host"]))
    where = f"the upstream block {place['host']} ({block})" if block else _shown(place, values)
    return Outcome(FIXED, location, f"leads to {where} by itself, whatever the row says", hosts, problem)


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _rewritten(block: Statement, path: str | None, variables: Variables) -> Outcome | None:
    """Follow a block's own rewrite directives; returns what ends the request there, and adds to `variables`."""
    own = block.name == "server"
    for child in block.children:
        name, values = child.name, child.values
        if name == "set" and len(values) == 2:
            first = own and values[0] in _OWN and values[0] not in variables and child.file == block.file
            variables[values[0]] = _OWN[values[0]] if first else _value(values[1], variables)
        elif name.startswith("set_by_lua") and values:
            variables[values[0]] = None
        elif name == "if":
            variables.update(
                {inner.values[0]: None for inner in child.children if inner.name == "set" and inner.values}
            )
        if path is None:
            continue
        if name == "return":
            return Outcome(NGINX, block, f"is answered by nginx itself: `{' '.join((name, *values))}`")
        if name == "rewrite" and len(values) > 1 and matches(values[0], path) is not False:
            if values[2:] in (("redirect",), ("permanent",)) or values[1].startswith(("http", "$scheme")):
                return Outcome(NGINX, block, f"has nginx redirect it: `{' '.join((name, *values))}`")
            if values[2:] != ("break",):
                return Outcome(UNKNOWN, block, f"leads where can't be told: `{' '.join((name, *values))}`")
    return None


def _changes_place(condition: Statement) -> bool:
    return any(child.name in (*PASSES, "rewrite") for child in condition.children)


def _value(text: str, variables: Variables) -> str | None:
    """Return a text with the variables' values in it; None where one that depends on the request decides the place."""
    known = VARIABLE.sub(lambda match: variables.get(f"${match[1] or match[2]}") or match[0], text)
    return None if any(variables.get(f"${a or b}", "") is None for a, b in VARIABLE.findall(known)) else known


def _hosts(server: Statement, location: Statement, variables: Variables) -> tuple[list[str], list[str], dict[str, str]]:
    """Return the hosts that a location names, its passes whose place can't be told, and the row's own variables."""
    own = {_OWN[name]: value for name, value in _first_sets(server)}
    inside = [*location.children, *_conditional(location)]
    choices = _choices(server, inside, variables)
    hosts: list[str] = []
    untold: list[str] = []
    for written in [child.values[0] for child in inside if child.name in PASSES and child.values]:
        texts = list(itertools.islice(resolved(written, choices), _MOST_PLACES))
        names = [match["host"] for match in map(_HOST.match, texts) if match]
        unread = len(texts) == _MOST_PLACES or any("$" in text and not _HOST.match(text) for text in texts)
        for name in (own.get(name, name) for name in names):
            hosts += members(server, name) or [name]
            unread = unread or any(child.name == "include" for child in in_upstream(server, name))
        if unread:
            untold.append(written)
    return list(dict.fromkeys(host.lower() for host in hosts)), untold, own


def _choices(server: Statement, inside: Sequence[Statement], variables: Variables) -> dict[str, list[str]]:
    """Return all values that a variable may have in a location, by its name; for some of the request's own, one."""
    choices: dict[str, list[str]] = {"$scheme": ["http"]}
    pairs = [(name, value) for name, value in variables.items() if value is not None]
    fixed = [child for child in server.children if child.name != "set" or not _OWN.keys() & child.values[:1]]
    for child in (*fixed, *_conditional(server), *inside):
        if child.name == "set" and len(child.values) == 2:
            pairs.append((child.values[0], child.values[1]))
        elif child.name in DEFINITIONS and child.name != "upstream" and child.values:
            # An `include` is still there where it could not be read: its last word stands for no value.
            values = ["$" if entry.name == "include" else entry.values[-1] for entry in child.children if entry.values]
            pairs += [(child.values[-1], value) for value in values]
    for name, value in dict.fromkeys(pairs):
        choices.setdefault(name, []).append(value)
    return choices


def _conditional(block: Statement) -> list[Statement]:
    return [inner for child in block.children if child.name == "if" for inner in child.children]


def _first_sets(server: Statement) -> Iterator[tuple[str, str]]:
    for name in _OWN:
        for child in server.children:
            if child.name == "set" and child.values[:1] == (name,) and len(child.values) == 2:
                yield name, child.values[1]
                break


def _shown(place: re.Match[str], own: Mapping[str, str]) -> str:
    host, port = own.get(place["host"], place["host"]), own.get(place["port"] or "", place["port"])
    return f"{host}:{port}" if port else host
