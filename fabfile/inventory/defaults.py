"""What may be left out of the inventory, or written shorter: filled in before the model looks at it."""

from __future__ import annotations

from typing import Any, Final

from fabfile.inventory import paths
from fabfile.inventory.fields import remote_path

RELATIVE_TO: Final = (
    ("app.env_file", "app.checkout"),
    ("app.installed", "app.checkout"),
    ("services.*.built", "app.checkout"),
    ("runtimes.docker.directory", "app.checkout"),
    ("runtimes.docker.file", "runtimes.docker.directory"),
    ("runtimes.docker.env_file", "runtimes.docker.directory"),
    ("runtimes.docker.snapshot", "runtimes.docker.directory"),
    ("services.*.directory", "app.checkout"),
    ("infra.*.data", "app.data_root"),
    ("edge.database", "edge.root"),
)
"""Paths that may be relative, each with the path that it is relative to, bases first."""

DERIVED: Final = {
    "default_host": "the only host",
    "services.*.unit": "<app.name>-<service>.service",
    "releases": "every key with its default",
    "releases.folder": "<app.checkout>.releases",
    "public.app_url": "https://<edge.app_domain>/",
    "public.api_health_url": "https://<edge.api_domain> and the API's health",
}
"""Keys that may be left out since they follow from others, and what they are then."""

UNKNOWN: Final = "/unknown"
"""Stands in for a directory that is missing or wrong."""

NAMED: Final = (
    "hosts",
    "services",
    "infra",
    "dns.records",
    "streams",
    "provider.adapters",
    "public.lookups",
)
"""Tables of tables, whose entries learn their own names."""


def fill(raw: dict[str, Any]) -> set[paths.Path]:
    """Make relative paths absolute, give entries their names, and set what follows from something else.

    Returns the paths that were not in the file: what is wrong there is wrong because of something else.
    """
    for pattern, base in RELATIVE_TO:
        for path, value in paths.find(raw, pattern):
            if isinstance(value, str) and value and not value.startswith("/"):
                paths.put(raw, path, _below(directory(raw, base), value, pattern))
    for table in NAMED:
        for path, entry in paths.find(raw, f"{table}.*"):
            if isinstance(entry, dict):
                entry["name"] = path[-1]
    derived: dict[paths.Path, object] = {
        **_default_host(raw),
        **_units(raw),
        **_public_addresses(raw),
        **_releases(raw),
    }
    missing = {path: value for path, value in derived.items() if paths.get(raw, path) is None}
    return {path for path, value in missing.items() if paths.put(raw, path, value)}


def _below(base: str, value: str, pattern: str) -> str:
    """A relative path made absolute. A directory may be the very one that it is relative to."""
    return base if value == "." and pattern.endswith(".directory") else f"{base}/{value}"


def directory(raw: dict[str, Any], key: str) -> str:
    """The directory at `key`; UNKNOWN if it is unusable, so that nothing relative to it is reported too."""
    value = paths.get(raw, paths.split(key))
    try:
        return remote_path(value) if isinstance(value, str) else UNKNOWN
    except ValueError:
        return UNKNOWN


def _default_host(raw: dict[str, Any]) -> dict[paths.Path, str]:
    hosts = raw.get("hosts")
    return {("default_host",): next(iter(hosts))} if isinstance(hosts, dict) and len(hosts) == 1 else {}


def _units(raw: dict[str, Any]) -> dict[paths.Path, str]:
    app = paths.get(raw, ("app", "name"))
    services = [path for path, service in paths.find(raw, "services.*") if isinstance(service, dict)]
    return {(*path, "unit"): f"{app}-{path[-1]}.service" for path in services}


def _releases(raw: dict[str, Any]) -> dict[paths.Path, object]:
    return {("releases",): {}, ("releases", "folder"): f"{directory(raw, 'app.checkout')}.releases"}


def _public_addresses(raw: dict[str, Any]) -> dict[paths.Path, str]:
    port = paths.get(raw, ("public", "https_port")) or 443
    suffix = "" if port == 443 else f":{port}"
    kinds = paths.find(raw, "services.*.kind")
    health = [paths.get(raw, (*path[:-1], "health")) for path, kind in kinds if kind == "api"] or ["/"]
    return {
        ("public", "app_url"): f"https://{paths.get(raw, ('edge', 'app_domain'))}{suffix}/",
        ("public", "api_health_url"): f"https://{paths.get(raw, ('edge', 'api_domain'))}{suffix}{health[0]}",
    }
