"""Asks the app's provider with the app's own key. The key is read here, on the VPS, and goes nowhere else."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import SplitResult, urljoin, urlsplit

from ..system import http
from ..wire.app import AdapterRef, Provided, ProviderRef, Setting
from .environment import in_force

TIMEOUT = 10.0  # seconds for the whole answer
_VARIABLES = re.compile(r"\{(\w+(?:\|\w+)*)\}")  # {NEW|OLD}: the first one that is set

Found = dict[str, Setting]


class _Unasked(Exception):
    """Why nobody was asked, in words without a secret."""


def provided(ref: ProviderRef) -> Provided:
    """Which adapter the environment chooses, and how its provider answers. Never raises, never tells a secret."""
    try:
        found = in_force(ref.environment)
    except (OSError, ValueError) as error:
        return Provided(problem=f"{ref.environment.env_file}: {error}")
    chosen = found.get(ref.adapter_env)
    if not chosen or not chosen.value:  # the app takes an empty variable for one that is not set
        return Provided()
    adapter = next((adapter for adapter in ref.adapters if adapter.name == chosen.value), None)
    result = Provided(chosen.value, chosen.origin)
    if adapter is None:
        known = ", ".join(adapter.name for adapter in ref.adapters)
        return replace(result, problem=f"the inventory knows no such adapter, only: {known}")
    if adapter.unchecked:
        return replace(result, unchecked=adapter.unchecked)
    return _asked(result, adapter, found) if adapter.url_env else result


def _asked(result: Provided, adapter: AdapterRef, found: Found) -> Provided:
    choices = [names.split("|") for template in adapter.headers.values() for names in _VARIABLES.findall(template)]
    chosen = [_first(names, found) for names in choices]
    keys = {name: found[name].origin for name in chosen if name}
    place = ""
    try:
        url = _address(adapter, found)
        place = f"{url.hostname}:{url.port or _port(url)}"
        headers = {header: _filled(template, found) for header, template in adapter.headers.items()}
        return replace(result, asked=place, keys=keys, status=_status(url, headers))
    except _Unasked as why:
        return replace(result, asked=place, keys=keys, problem=str(why))


def _address(adapter: AdapterRef, found: Found) -> SplitResult:
    """What is asked; the provider's address may hold a key as well, so that it is never shown as a whole."""
    names = [adapter.url_env]
    given = adapter.url if adapter.url and not _first(names, found) else _value(names, found)
    try:
        url = urlsplit(urljoin(given, adapter.path))
        if url.scheme in ("http", "https") and url.hostname and url.port != 0:
            return url
    except ValueError:
        pass
    raise _Unasked(f"{adapter.url_env} holds no http:// or https:// address")


def _first(names: Sequence[str], found: Found) -> str:
    """The first of the variables that is set and not empty; empty where none is."""
    return next((name for name in names if name in found and found[name].value.strip()), "")


def _value(names: Sequence[str], found: Found) -> str:
    name = _first(names, found)
    if not name:
        one = len(names) == 1
        raise _Unasked(f"{names[0]} is not set" if one else f"none of {', '.join(names)} is set")
    return found[name].value


def _filled(template: str, found: Found) -> str:
    return _VARIABLES.sub(lambda match: _value(match[1].split("|"), found), template)


def _port(url: SplitResult) -> int:
    return 443 if url.scheme == "https" else 80


def _status(url: SplitResult, headers: dict[str, str]) -> int:
    """The status of a plain request; redirects are not followed, since the key would travel along."""
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    tls = ssl.create_default_context() if url.scheme == "https" else None
    place = url.hostname or "", url.port or _port(url)
    try:
        answer = http.request(*place, target, seconds=TIMEOUT, headers=headers, tls=tls, body=http.Body.SKIP)
    except http.BadAnswer as error:
        # Its own words may quote the header or the address.
        raise _Unasked(f"the request or its answer is not HTTP: {error.kind}") from None
    except OSError as error:
        raise _Unasked(f"no answer: {error or type(error).__name__}") from None
    return answer.status
