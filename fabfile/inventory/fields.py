"""The kinds of values an inventory holds: each a plain Python value with one check and one plain message.

Remote paths stay text: they go into command lists, unit files and JSON. Values that reach a unit or an
environment file can't hold a line break or another control character, so nothing can be smuggled in.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

BRIDGE = "bridge"
"""The word for "the gateway of the edge's Docker network", which only the survey knows."""

VERSION = r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}"
"""A version as an inventory may ask for it; what a release candidate appends is not compared."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}", re.ASCII | re.IGNORECASE)
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII | re.IGNORECASE)
_ALL_DIGITS = re.compile(r"[0-9.]+")
_VARIABLE = "[A-Za-z_][A-Za-z0-9_]*"
_UNSAFE_IN_PATH = re.compile(r"""[*?\[\]{}"'\\$`]""")


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return _one_line(value)


def _one_line(value: str) -> str:
    if any(not char.isprintable() for char in value):
        raise ValueError("must not hold a line break or another invisible character")
    return value


def _matching(pattern: str, rule: str) -> Callable[[str], str]:
    """A check that the whole text matches `pattern`; `rule` says in words what it may hold."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(_text(value)):
            raise ValueError(rule)
        return value

    return check


def _port(value: int) -> int:
    if not 1 <= value <= 65535:
        raise ValueError("is not a port (1 to 65535)")
    return value


def _seconds(value: float) -> float:
    if not (math.isfinite(value) and 0 < value <= 86_400):
        raise ValueError("is not a time limit: seconds above 0 and up to 86400 (a day)")
    return value


def _hold_limit(value: float) -> float:
    # nginx gives up on an upstream after 90 s, and taking a plan back needs its time too.
    if not 5 <= _seconds(value) <= 60:
        raise ValueError("is not between 5 and 60 seconds: past 90 s the edge itself gives up on a request")
    return value


def remote_path(value: str) -> str:
    """An absolute path on the VPS, without a slash at its end; ValueError says what is wrong with it."""
    path = _text(value)
    if not path.startswith("/"):
        raise ValueError("is not an absolute path: it must begin with /")
    parts = path.rstrip("/").split("/")[1:]
    if not parts:
        raise ValueError("is the root directory; name a directory or a file below it")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError('is not a plain path: it holds "..", "." or "//"')
    if _UNSAFE_IN_PATH.search(path) or path != path.strip():
        raise ValueError("is not a plain path: no quotes, $, \\, wildcards, nor spaces at its ends")
    return "/" + "/".join(parts)


def _local_path(value: object) -> object:
    if not isinstance(value, str):
        return value
    path = _text(value)
    if not path.startswith(("/", "~/")):
        raise ValueError("is not an absolute path: it must begin with / or ~/")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError("begins with ~/, and your home directory is unknown") from error


def _domain(value: str) -> str:
    name = _text(value)
    if len(name) > 253 or not _DOMAIN.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise ValueError("is not a domain name (as in flow.example.org)")
    return name.lower()


def _address(value: str) -> str:
    """A host name or an IP address: what one gives to ssh."""
    name = _text(value)
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    if len(name) > 253 or not _HOST.fullmatch(name) or _ALL_DIGITS.fullmatch(name):
        raise ValueError("is neither a host name nor an IP address")
    return name


def _ipv4(value: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(value)
    except ValueError:
        raise ValueError(f'is neither "{BRIDGE}" nor an IPv4 address') from None


def _bind(value: str) -> str:
    if value != BRIDGE and _ipv4(_text(value)).is_loopback:
        raise ValueError("is a loopback address: the edge's container could not reach it")
    return value


def _upstream(value: str) -> str:
    if value == BRIDGE:
        return value
    address = _ipv4(_text(value))
    if address.is_loopback or address.is_unspecified:
        raise ValueError("is no address that the edge's container could connect to")
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(_text(value))
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or " " in value:
        raise ValueError("is not an http:// or https:// address")
    return value


def _api_url(value: str) -> str:
    """An address that a token may be sent to, without a slash at its end."""
    parts = urlsplit(_url(value))
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError("is not an https:// address: the token would travel in the clear")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("is not a plain address: no user, ? or # in it")
    return value.rstrip("/")


def _ttl(value: int) -> int:
    if value != 1 and not 30 <= value <= 86_400:
        raise ValueError("is not a TTL: 1 (automatic), or 30 to 86400 seconds")
    return value


def listed(value: object) -> object:
    """TOML's arrays arrive as lists; the model keeps them as tuples, which can't change."""
    return tuple(value) if isinstance(value, list) else value


def _byte_count(value: int) -> int:
    if not 1 <= value <= 2**63 - 1:
        raise ValueError("is not a size in bytes (1 or more)")
    return value


def _header_value(value: str) -> str:
    if len(re.findall(rf"\{{{_VARIABLE}(?:\|{_VARIABLE})*\}}", value, re.ASCII)) != 1:
        raise ValueError('must name one environment variable in braces, or alternatives, as in "Bearer {KEY|OLD_KEY}"')
    return _text(value)


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("must not be empty")
    return value


def _environment(value: Mapping[str, str]) -> Mapping[str, str]:
    bad = [name for name in value if not re.fullmatch(_VARIABLE, name, re.ASCII)]
    if bad:
        raise ValueError(f"holds {', '.join(map(repr, bad))}: not a name of an environment variable")
    return value


Text = Annotated[str, AfterValidator(_text)]
OneLine = Annotated[str, AfterValidator(_one_line)]
Version = Annotated[str, AfterValidator(_matching(VERSION, 'is not a version, as in "0.2.0"'))]
Port = Annotated[int, AfterValidator(_port)]
Seconds = Annotated[float, AfterValidator(_seconds)]
HoldLimit = Annotated[float, AfterValidator(_hold_limit)]
ByteCount = Annotated[int, AfterValidator(_byte_count)]
RemotePath = Annotated[str, AfterValidator(remote_path)]
LocalPath = Annotated[Path, BeforeValidator(_local_path)]
Domain = Annotated[str, AfterValidator(_domain)]
Address = Annotated[str, AfterValidator(_address)]
Bind = Annotated[str, AfterValidator(_bind)]
Upstream = Annotated[str, AfterValidator(_upstream)]
Url = Annotated[str, AfterValidator(_url)]
ApiUrl = Annotated[str, AfterValidator(_api_url)]
Ttl = Annotated[int, AfterValidator(_ttl)]
Words = Annotated[tuple[Text, ...], BeforeValidator(listed)]
SomeWords = Annotated[Words, AfterValidator(_some)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
Environment = Annotated[Mapping[str, OneLine], AfterValidator(_environment)]

Name = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
            "is not a plain name (small letters, digits and dashes, at most 63)",
        )
    ),
]
User = Annotated[
    str,
    AfterValidator(_matching(r"[a-z_][a-z0-9_-]{0,31}", "is not the name of a Linux user or group")),
]
NumericUser = Annotated[
    str,
    AfterValidator(_matching(r"[0-9]{1,9}:[0-9]{1,9}", 'is not a numeric user and group, as in "999:1000"')),
]
Unit = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,240}\.service",
            "is not a unit name: letters, digits, dashes, dots, ending in .service",
        )
    ),
]
DockerName = Annotated[
    str,
    AfterValidator(_matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", "is not the name of a Docker object")),
]
Image = Annotated[
    str,
    AfterValidator(
        _matching(
            r"[a-z0-9][a-z0-9._/:-]*(?:@sha256:[0-9a-f]{64})?|[a-z0-9][a-z0-9._/:-]*:[A-Za-z0-9_.-]+",
            "is not the name of a Docker image",
        )
    ),
]
Durable = Annotated[
    str,
    AfterValidator(
        _matching(r"[A-Za-z0-9_-]{1,255}", "is not a durable's name (letters, digits, dashes, underscores)")
    ),
]
EnvName = Annotated[
    str,
    AfterValidator(_matching(_VARIABLE, "is not a name of an environment variable")),
]
EnvNames = Annotated[tuple[EnvName, ...], BeforeValidator(listed)]
EnvPattern = Annotated[
    str,
    AfterValidator(
        _matching(rf"{_VARIABLE}\*?", "is not a name of an environment variable, nor the beginning of one and a *")
    ),
]
EnvPatterns = Annotated[tuple[EnvPattern, ...], BeforeValidator(listed)]
StreamName = Annotated[
    str,
    AfterValidator(_matching(r"[A-Za-z0-9_-]{1,255}", "is not a stream's name (letters, digits, dashes, underscores)")),
]
CheckoutPath = Annotated[
    str,
    AfterValidator(
        _matching(
            r"(?!.*(^|/)\.\.?(/|$))[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*",
            "is not the path of a file below the checkout, as in scripts/build.sh",
        )
    ),
]
CheckoutPaths = Annotated[tuple[CheckoutPath, ...], BeforeValidator(listed)]
Prefix = Annotated[
    str,
    AfterValidator(
        _matching(r"[a-z0-9][a-z0-9-]*", "is not a path prefix (small letters, digits and dashes, no slash)")
    ),
]
Header = Annotated[
    str,
    AfterValidator(_matching(r"[a-z0-9-]+", "is not the name of an HTTP header in small letters")),
]
UrlPath = Annotated[
    str,
    AfterValidator(_matching(r"/[A-Za-z0-9._~/-]*", "is not the path of an address, beginning with /")),
]
Route = Annotated[
    str,
    AfterValidator(
        _matching(
            r"/[A-Za-z0-9._~/-]*(?:\?[A-Za-z0-9._~/&=,%:+-]*)?",
            "is not the path of an address, beginning with /, with or without a ?query",
        )
    ),
]
FileName = Annotated[
    str,
    AfterValidator(_matching(r"[A-Za-z0-9_][A-Za-z0-9._-]*", "is not a plain file name")),
]
Comment = Annotated[
    str,
    AfterValidator(_matching(r"[A-Za-z0-9 ._:-]{1,100}", "is not a comment of letters, digits, spaces and . _ : -")),
]
