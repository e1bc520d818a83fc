"""URLs in variables: what of two of them differs besides host and port, and the same one with others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

LOGIN = "login"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*")  # also jdbc:postgresql
_PARTS = ("scheme", LOGIN, "path", "query", "fragment")
_NO_LOGIN = ("redis",)  # our native Redis has neither a password nor users, and refuses who gives one


class _Url(NamedTuple):
    scheme: str
    login: str
    path: str
    query: str
    fragment: str
    place: str  # host and port, or several with commas between them


def parts_that_differ(one: str, other: str) -> tuple[str, ...]:
    """What differs besides host and port, where one of two values is a URL or a list of them; else nothing.

    A value without a scheme has the other one's: many libraries take `redis:6379/2`.
    """
    schemes = [*_schemes(one), *_schemes(other)]
    if not schemes:
        return ()
    ours, theirs = ({_plain(_split(each, schemes[0])) for each in _list(value)} for value in (one, other))
    if ours == theirs:
        return ()
    differing = (name for at, name in enumerate(_PARTS) if {url[at] for url in ours} != {url[at] for url in theirs})
    return tuple(differing) or ("combination of addresses",)


def with_places(values: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str]:
    """The variables with those in `places` leading there: each a URL of nothing but scheme, host and port."""
    return {**values, **{name: at_place(values.get(name, ""), url) for name, url in places.items()}}


def at_place(value: str, url: str) -> str:
    """A value with host and port of `url`; `url` itself where the value has another scheme, or there is none.

    Another scheme belongs to another kind of server, so that what follows it says nothing about this one.
    """
    place = _split(url, "")
    found = [_split(each, place.scheme) for each in _list(value)] if value.strip() else []
    if any(one.scheme.lower() != place.scheme for one in found):
        return url
    moved = (one._replace(place=place.place, login="" if place.scheme in _NO_LOGIN else one.login) for one in found)
    return ",".join(dict.fromkeys(map(_joined, moved))) or url


def _list(value: str) -> list[str]:
    each = [one.strip() for one in value.split(",")]
    return each if all("://" in one for one in each) else [value.strip()]


def _schemes(value: str) -> list[str]:
    found = (one.partition("://")[:2] for one in _list(value))
    return [scheme for scheme, separator in found if separator and _SCHEME.fullmatch(scheme)]


def _split(value: str, scheme: str) -> _Url:
    before, separator, rest = value.partition("://")
    if not separator or not _SCHEME.fullmatch(before):
        before, rest = scheme, value
    rest, mark, fragment = rest.partition("#")
    rest, question, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    login, at, place = authority.rpartition("@")
    return _Url(before, login + at, slash + path, question + query, mark + fragment, place)


def _joined(url: _Url) -> str:
    return f"{url.scheme}://{url.login}{url.place}{url.path}{url.query}{url.fragment}"


def _plain(url: _Url) -> _Url:
    """Without its place; a lone slash says nothing, and database 0 is the one that Redis has by itself."""
    meaningless = ("/", "/0") if url.scheme.lower() in ("redis", "rediss") else ("/",)
    return url._replace(scheme=url.scheme.lower(), path="" if url.path in meaningless else url.path, place="")
