"""Sends a request with the app's own key to its provider. The key is read here, on the VPS, and stays here."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import SplitResult, urljoin, urlsplit

from ..system import http
from ..wire.app import AdapterRef, Provided, ProviderRef, Setting
from .environment import in_force

TIMEOUT_SECONDS = 10.0  # for the whole answer
_VARIABLES = re.compile(r"\{(\w+(?:\|\w+)*)\}")  # {NEW|OLD}: the first one that is set

Variables = dict[str, Setting]


class _NoRequest(Exception):
    """No request could be made, or it got no answer; the message holds no secret."""


def check_provider(ref: ProviderRef) -> Provided:
    """The adapter that the environment chooses, and its provider's answer, without a secret. Never raises."""
    try:
        variables = in_force(ref.environment)
    except (OSError, ValueError) as error:
        return Provided(problem=f"{ref.environment.env_file}: {error}")
    choice = variables.get(ref.adapter_env)
    if not choice or not choice.value:  # the app treats an empty variable as one that is not set
        return Provided()
    adapter = next((adapter for adapter in ref.adapters if adapter.name == choice.value), None)
    result = Provided(choice.value, choice.origin)
    if adapter is None:
        known = ", ".join(adapter.name for adapter in ref.adapters)
        return replace(result, problem=f"the inventory knows no such adapter, only: {known}")
    if adapter.unchecked:
        return replace(result, unchecked=adapter.unchecked)
    return _request(result, adapter, variables) if adapter.url_env else result


def _request(result: Provided, adapter: AdapterRef, variables: Variables) -> Provided:
    choices = [match.split("|") for template in adapter.headers.values() for match in _VARIABLES.findall(template)]
    names = [_first_set(choice, variables) for choice in choices]
    keys = {name: variables[name].origin for name in names if name}
    server = ""
    try:
        url = _address(adapter, variables)
        server = f"{url.hostname}:{url.port or _default_port(url)}"
        headers = {header: _expanded(template, variables) for header, template in adapter.headers.items()}
        return replace(result, asked=server, keys=keys, status=_status(url, headers))
    except _NoRequest as why:
        return replace(result, asked=server, keys=keys, problem=str(why))


def _address(adapter: AdapterRef, variables: Variables) -> SplitResult:
    """The URL of the request. It may hold a key as well, so it is never shown as a whole."""
    names = [adapter.url_env]
    base = adapter.url if adapter.url and not _first_set(names, variables) else _required_value(names, variables)
    try:
        url = urlsplit(urljoin(base, adapter.path))
        if url.scheme in ("http", "https") and url.hostname and url.port != 0:
            return url
    except ValueError:
        pass
    raise _NoRequest(f"{adapter.url_env} holds no http:// or https:// address")


def _first_set(names: Sequence[str], variables: Variables) -> str:
    """The first of the variables that is set and not empty; empty where none is."""
    return next((name for name in names if name in variables and variables[name].value.strip()), "")


def _required_value(names: Sequence[str], variables: Variables) -> str:
    name = _first_set(names, variables)
    if not name:
        single = len(names) == 1
        raise _NoRequest(f"{names[0]} is not set" if single else f"none of {', '.join(names)} is set")
    return variables[name].value


def _expanded(template: str, variables: Variables) -> str:
    return _VARIABLES.sub(lambda match: _required_value(match[1].split("|"), variables), template)


def _default_port(url: SplitResult) -> int:
    return 443 if url.scheme == "https" else 80


def _status(url: SplitResult, headers: dict[str, str]) -> int:
    """The status of a plain request; redirects are not followed, since the key would travel along."""
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    tls = ssl.create_default_context() if url.scheme == "https" else None
    server = url.hostname or "", url.port or _default_port(url)
    try:
        answer = http.request(*server, target, seconds=TIMEOUT_SECONDS, headers=headers, tls=tls, body=http.Body.SKIP)
    except http.BadAnswer as error:
        # Its message may quote the header or the address.
        raise _NoRequest(f"the request or its answer is not HTTP: {error.kind}") from None
    except OSError as error:
        raise _NoRequest(f"no answer: {error or type(error).__name__}") from None
    return answer.status
