"""The kinds of values an inventory holds: each a plain Python value with one check and one plain message.

Remote paths stay text: they go into command lists, unit files and JSON. Values that reach a unit or an
environment file can't hold a line break or another control character, so nothing can be smuggled in.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from fabfile.inventory.rules import REDIS_SETTINGS, Matching, Within, one_line, redis_settings, text

BRIDGE = "bridge"
"""The word for "the gateway of the edge's Docker network", which only the survey knows."""

VERSION = r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}"
"""A version as an inventory may ask for it; what a release candidate appends is not compared."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}", re.ASCII | re.IGNORECASE)
_HOST_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"  # an alias of the ssh configuration may have underscores
_HOST = re.compile(rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*", re.ASCII | re.IGNORECASE)
_ALL_DIGITS = re.compile(r"[0-9.]+")
_VARIABLE = "[A-Za-z_][A-Za-z0-9_]*"
_JETSTREAM_NAME = r"(?:(?![.*>/\\])[!-~]){1,255}"  # what nats-server takes
_PATH = r"/[A-Za-z0-9._~!$&'()*+,;=:@%/\[\]-]*"  # RFC 3986, and the brackets that browsers leave as they are
_TTL = "is not a TTL: 1 (automatic), or 30 to 86400 seconds"
_UNSAFE_IN_PATH = re.compile(r"""[*?\[\]{}"'\\$`]""")


def remote_path(value: str) -> str:
    """An absolute path on the VPS, without a slash at its end; ValueError says what is wrong with it."""
    path = text(value)
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
    path = text(value)
    if not path.startswith(("/", "~/")):
        raise ValueError("is not an absolute path: it must begin with / or ~/")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError("begins with ~/, and your home directory is unknown") from error


def _domain(value: str) -> str:
    name = text(value)
    if len(name) > 253 or not _DOMAIN.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise ValueError("is not a domain name (as in flow.example.org)")
    return name.lower()


def _address(value: str) -> str:
    """A host name or an IP address: what one gives to ssh."""
    name = text(value)
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
    if value != BRIDGE and _ipv4(text(value)).is_loopback:
        raise ValueError("is a loopback address: the edge's container could not reach it")
    return value


def _upstream(value: str) -> str:
    if value == BRIDGE:
        return value
    address = _ipv4(text(value))
    if address.is_loopback or address.is_unspecified:
        raise ValueError("is no address that the edge's container could connect to")
    return value


def _url(value: str) -> str:
    try:
        parts = urlsplit(text(value))
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
    if 1 < value < 30:
        raise ValueError(_TTL)
    return value


def listed(value: object) -> object:
    """TOML's arrays arrive as lists; the model keeps them as tuples, which can't change."""
    return tuple(value) if isinstance(value, list) else value


def _header_value(value: str) -> str:
    if len(re.findall(rf"\{{{_VARIABLE}(?:\|{_VARIABLE})*\}}", value, re.ASCII)) != 1:
        raise ValueError('must name one environment variable in braces, or alternatives, as in "Bearer {KEY|OLD_KEY}"')
    return text(value)


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("must not be empty")
    return value


def _environment(value: Mapping[str, str]) -> Mapping[str, str]:
    bad = [name for name in value if not re.fullmatch(_VARIABLE, name, re.ASCII)]
    if bad:
        raise ValueError(f"holds {', '.join(map(repr, bad))}: not a name of an environment variable")
    return value


Text = Annotated[str, AfterValidator(text), Field(json_schema_extra={"title": "text", "pattern": r"\S"})]
OneLine = Annotated[str, AfterValidator(one_line)]
Version = Annotated[str, Matching(VERSION, 'is not a version, as in "0.2.0"')]
Port = Annotated[int, Within(1, 65_535, "is not a port (1 to 65535)")]
Seconds = Annotated[
    float, Within(0, 86_400, "is not a time limit: seconds above 0 and up to 86400 (a day)", above=True)
]
# nginx gives up on an upstream after 90 s, and the undo of a plan needs time as well.
HoldLimit = Annotated[
    Seconds, Within(5, 60, "is not between 5 and 60 seconds: past 90 s the edge itself gives up on a request")
]
Days = Annotated[int, Within(0, 3650, "is not a number of days (0 to 3650)")]
ReleaseCount = Annotated[int, Within(2, 50, "is not between 2 and 50: the live release, and one to go back to")]
ByteCount = Annotated[int, Within(1, 2**63 - 1, "is not a size in bytes (1 or more)")]
Payload = Annotated[int, Within(1024, 64 << 20, "is not a size in bytes that NATS takes (1024 to 67108864)")]
RemotePath = Annotated[
    str, AfterValidator(remote_path), Field(json_schema_extra={"title": "absolute path on the VPS", "pattern": "^/"})
]
LocalPath = Annotated[
    Path,
    BeforeValidator(_local_path),
    Field(json_schema_extra={"title": "path on your machine, beginning with / or ~/", "pattern": "^~?/"}),
]
Domain = Annotated[
    str, AfterValidator(_domain), Field(json_schema_extra={"title": "domain name, as in flow.example.org"})
]
Address = Annotated[str, AfterValidator(_address), Field(json_schema_extra={"title": "host name or IP address"})]
Bind = Annotated[str, AfterValidator(_bind), Field(json_schema_extra={"title": '"bridge" or an IPv4 address'})]
Upstream = Annotated[str, AfterValidator(_upstream), Field(json_schema_extra={"title": '"bridge" or an IPv4 address'})]
Url = Annotated[
    str,
    AfterValidator(_url),
    Field(json_schema_extra={"title": "http:// or https:// address", "pattern": "^https?://"}),
]
ApiUrl = Annotated[
    str, AfterValidator(_api_url), Field(json_schema_extra={"title": "https:// address", "pattern": "^https?://"})
]
Ttl = Annotated[int, Within(1, 86_400, _TTL), AfterValidator(_ttl)]
Words = Annotated[tuple[Text, ...], BeforeValidator(listed)]
SomeWords = Annotated[Words, AfterValidator(_some), Field(json_schema_extra={"minItems": 1})]
HeaderValue = Annotated[
    str,
    AfterValidator(_header_value),
    Field(json_schema_extra={"title": 'text that names one variable in braces, as in "Bearer {KEY}"'}),
]
Environment = Annotated[
    Mapping[str, OneLine],
    AfterValidator(_environment),
    Field(json_schema_extra={"propertyNames": {"pattern": f"^{_VARIABLE}$"}}),
]
RedisSettings = Annotated[
    Mapping[str, OneLine],
    AfterValidator(redis_settings),
    Field(json_schema_extra={"propertyNames": {"pattern": f"^({'|'.join(REDIS_SETTINGS)})$"}}),
]

Name = Annotated[
    str,
    Matching(
        r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", "is not a plain name (small letters, digits and dashes, at most 63)"
    ),
]
Tags = Annotated[tuple[Name, ...], BeforeValidator(listed)]
ServiceName = Annotated[
    str,
    Matching(
        r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
        "is not the name of a service (letters, digits, dots, dashes and underscores, at most 63)",
    ),
]
ContainerHost = Annotated[
    str,
    Matching(
        r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,126}[A-Za-z0-9])?",
        "is not the name of a container (letters, digits, dashes, underscores and dots)",
    ),
]
User = Annotated[str, Matching(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", "is not the name of a Linux user or group")]
NumericUser = Annotated[str, Matching(r"[0-9]{1,9}:[0-9]{1,9}", 'is not a numeric user and group, as in "999:1000"')]
Unit = Annotated[
    str,
    Matching(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,240}\.service",
        "is not a unit name: letters, digits, dashes, dots, ending in .service",
    ),
]
DockerName = Annotated[str, Matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", "is not the name of a Docker object")]
Image = Annotated[
    str,
    Matching(
        r"[a-z0-9][a-z0-9._/:-]*(?:@sha256:[0-9a-f]{64})?|[a-z0-9][a-z0-9._/:-]*:[A-Za-z0-9_.-]+",
        "is not the name of a Docker image",
    ),
]
Durable = Annotated[
    str, Matching(_JETSTREAM_NAME, "is not a durable's name (printable characters but space . * > / and \\)")
]
EnvName = Annotated[str, Matching(_VARIABLE, "is not a name of an environment variable")]
EnvNames = Annotated[tuple[EnvName, ...], BeforeValidator(listed)]
EnvPattern = Annotated[
    str, Matching(rf"{_VARIABLE}\*?", "is not a name of an environment variable, nor the beginning of one and a *")
]
EnvPatterns = Annotated[tuple[EnvPattern, ...], BeforeValidator(listed)]
StreamName = Annotated[
    str, Matching(_JETSTREAM_NAME, "is not a stream's name (printable characters but space . * > / and \\)")
]
CheckoutPath = Annotated[
    str,
    Matching(
        r"(?!.*(^|/)\.\.?(/|$))[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*",
        "is not the path of a file below the checkout, as in scripts/build.sh",
    ),
]
CheckoutPaths = Annotated[tuple[CheckoutPath, ...], BeforeValidator(listed)]
CheckoutPattern = Annotated[
    str,
    Matching(
        r"(?!.*(^|/)\.\.?(/|$))[A-Za-z0-9._*-]+(/[A-Za-z0-9._*-]+)*/?",
        "is not the path of a file below the checkout, nor one with a * in it, as in deployment/docker/*.tar.gz",
    ),
]
CheckoutPatterns = Annotated[tuple[CheckoutPattern, ...], BeforeValidator(listed)]
Prefix = Annotated[
    str,
    Matching(
        r"(?!\.\.?$)[A-Za-z0-9_.][A-Za-z0-9._-]*",
        "is not a path prefix (letters, digits, dashes, underscores and dots, no slash)",
    ),
]
Header = Annotated[str, Matching(r"[a-z0-9-]+", "is not the name of an HTTP header in small letters")]
UrlPath = Annotated[str, Matching(_PATH, "is not the path of an address, beginning with /")]
Route = Annotated[
    str,
    Matching(
        rf"{_PATH}(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?\[\]-]*)?",
        "is not the path of an address, beginning with /, with or without a ?query",
    ),
]
FileName = Annotated[str, Matching(r"[A-Za-z0-9_][A-Za-z0-9._-]*", "is not a plain file name")]
Comment = Annotated[
    str, Matching(r"[A-Za-z0-9 ._:-]{1,100}", "is not a comment of letters, digits, spaces and . _ : -")
]
