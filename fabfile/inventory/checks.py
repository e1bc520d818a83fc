"""What no single table shows: values of several tables that must differ, or must fit together.

What concerns one table only is in its model, as `conflicts`. Both read the raw tables, so that they also find what is
wrong when other values can't be used yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from fabfile.inventory import defaults, paths, placeholders
from fabfile.inventory.messages import Problem

_UNIQUE: Final = (
    ("port", ("services.*.port", "infra.*.port", "infra.*.monitor_port", "services.*.parking_port")),
    ("unit", ("services.*.unit", "infra.*.unit")),
    ("durable", ("services.*.durables.*",)),
    ("data directory", ("infra.*.data",)),
    ("domain", ("edge.app_domain", "edge.api_domain")),
    ("path prefix", ("edge.api_prefixes.*",)),
    ("Docker name", ("runtimes.docker.web_host", "runtimes.docker.api_host")),
)
_FILES: Final = (
    "app.env_file",
    "app.owner_file",
    "runtimes.native.settings_file",
    "runtimes.native.overrides_file",
    "runtimes.docker.file",
    "runtimes.docker.overlay_file",
    "infra.redis.config",
    "infra.clickhouse.drop_in",
)


def check(raw: dict[str, Any]) -> Iterator[Problem]:
    """Every way in which the values don't fit together."""
    for what, patterns in (*_UNIQUE, ("file", _FILES)):
        yield from _unique(raw, what, patterns)
    yield from _hosts(raw)
    yield from _kinds(raw)
    yield from _service_names(raw)
    yield from _below_checkout(raw)
    yield from _placeholders(raw)
    yield from _stops_in_time(raw)
    yield from _outside_checkout(raw)
    yield from _provider_service(raw)
    yield from _routes(raw)


def _unique(raw: dict[str, Any], what: str, patterns: tuple[str, ...]) -> Iterator[Problem]:
    first: dict[object, paths.Path] = {}
    for pattern in patterns:
        for path, value in paths.find(raw, pattern):
            if isinstance(value, bool) or not isinstance(value, (int, str)):
                continue
            if value in first:
                other = paths.spell(first[value])
                yield Problem(path, f"{paths.quote(value)} is already the {what} of {other}")
            else:
                first[value] = path


def _hosts(raw: dict[str, Any]) -> Iterator[Problem]:
    hosts = raw.get("hosts")
    if not isinstance(hosts, dict):
        return
    names, default = ", ".join(hosts), raw.get("default_host")
    if not hosts:
        yield Problem(("hosts",), "is empty: at least one host is needed")
    elif default is None:
        yield Problem(("default_host",), f"is missing, and there are several hosts: {names}")
    elif isinstance(default, str) and default not in hosts:
        yield Problem(("default_host",), f"{paths.quote(default)} is not a host; there are: {names}")


def _kinds(raw: dict[str, Any]) -> Iterator[Problem]:
    services = raw.get("services")
    if not isinstance(services, dict):
        return
    entries = {name: entry for name, entry in services.items() if isinstance(entry, dict)}
    for wanted in ("web", "api"):
        names = [name for name, entry in entries.items() if entry.get("kind") == wanted]
        if len(names) != 1:
            found = ", ".join(names) or "none"
            yield Problem(("services",), f'exactly one service of kind "{wanted}" is needed; there is: {found}')
    for name, entry in entries.items():
        kind = entry.get("kind")
        if kind in ("web", "api") and "parking_port" not in entry and paths.get(raw, ("edge", "hold")) is not False:
            path = ("services", name, "parking_port")
            yield Problem(path, "is missing: its requests wait there during a hand-over, unless edge.hold is false")


def _service_names(raw: dict[str, Any]) -> Iterator[Problem]:
    """Services and servers stand side by side in one Compose file."""
    first: dict[object, paths.Path] = {}
    for pattern in ("infra.*", "services.*"):
        for path, _ in paths.find(raw, pattern):
            if path[-1] in first:
                other = paths.spell(first[path[-1]])
                yield Problem(path, f"{other} has the same name; in Compose they would be one")
            first.setdefault(path[-1], path)


def _below_checkout(raw: dict[str, Any]) -> Iterator[Problem]:
    """The app's directories have the same place inside the image as in the checkout."""
    checkout = defaults.directory(raw, "app.checkout")
    if checkout == defaults.UNKNOWN:
        return
    for path, value in paths.find(raw, "services.*.directory"):
        absolute = isinstance(value, str) and value.startswith("/")
        if absolute and not f"{value}/".startswith(f"{checkout}/"):
            yield Problem(path, f"{paths.quote(value)} is not in the checkout, {checkout}")


def _placeholders(raw: dict[str, Any]) -> Iterator[Problem]:
    """Only those that will have a value: a worker has no port, and neither have overrides."""
    for path, value in _with_placeholders(raw):
        own = path[0] == "services" and paths.get(raw, (*path[:2], "port")) is not None
        known = placeholders.OWN if own else placeholders.SHARED
        for name in placeholders.unknown(value, known):
            names = ", ".join(f"{{{known_name}}}" for known_name in known)
            yield Problem(path, f"{{{name}}} is no placeholder here; known: {names}")


def _with_placeholders(raw: dict[str, Any]) -> Iterator[tuple[paths.Path, str]]:
    for pattern in ("services.*.argv.*", "runtimes.*.overrides.*"):
        yield from ((path, value) for path, value in paths.find(raw, pattern) if isinstance(value, str))


def _stops_in_time(raw: dict[str, Any]) -> Iterator[Problem]:
    """Requests wait while the services stop, and they may wait only so long."""
    limit = paths.get(raw, ("edge", "hold_limit")) or 45
    if paths.get(raw, ("edge", "hold")) is False or isinstance(limit, bool) or not isinstance(limit, (int, float)):
        return
    for path, value in paths.find(raw, "services.*.stop_timeout"):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and limit <= value:
            yield Problem(path, f"{value:g} is not below edge.hold_limit, {limit:g}: requests wait while it stops")


def _outside_checkout(raw: dict[str, Any]) -> Iterator[Problem]:
    """Nothing of ours lies in the checkout: the next `git pull` would stumble over it."""
    checkout = defaults.directory(raw, "app.checkout")
    for path in (("runtimes", "docker", "overlay_file"), ("releases", "folder")):
        value = paths.get(raw, path)
        if isinstance(value, str) and f"{value}/".startswith(f"{checkout}/"):
            yield Problem(path, f"{paths.quote(value)} is in the checkout, {checkout}, where this tool writes nothing")


def _provider_service(raw: dict[str, Any]) -> Iterator[Problem]:
    """Who asks the provider is one of the services."""
    path, services = ("provider", "service"), raw.get("services")
    name = paths.get(raw, path)
    if isinstance(name, str) and isinstance(services, dict) and name not in services:
        yield Problem(path, f"{paths.quote(name)} is none of the services: {', '.join(map(str, services))}")


def _routes(raw: dict[str, Any]) -> Iterator[Problem]:
    """A route tells what one of the prefixes is asked for, and so lies below it."""
    prefixes = [prefix for _, prefix in paths.find(raw, "edge.api_prefixes.*")]
    for path, value in paths.find(raw, "public.routes.*"):
        prefix = path[-1]
        if prefixes and prefix not in prefixes:
            yield Problem(path, "is none of edge.api_prefixes")
        elif isinstance(value, str) and value.startswith("/") and re.split("[/?]", value)[1] != prefix:
            yield Problem(path, f"{paths.quote(value)} is not below /{prefix}")
