"""Environment variables that override the inventory: those that the original scripts understood.

As in those scripts an empty variable counts as not set. Two of theirs have no meaning here: NPM_RESTART (the
edge is reloaded and never restarted) and DEPLOY_NATIVE_EDGE_READY (whether the edge can reach the native
app is measured, not declared).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fabfile.inventory import paths

_TEXT: Final[Mapping[str, str]] = {
    "NPM_ROOT": "edge.root",
    "NPM_DB_PATH": "edge.database",
    "NPM_CONTAINER_NAME": "edge.container",
    "ISLANDFLOW_APP_DOMAIN": "edge.app_domain",
    "ISLANDFLOW_API_DOMAIN": "edge.api_domain",
    "ISLANDFLOW_NATIVE_HOST": "runtimes.native.upstream",
    "ISLANDFLOW_DOCKER_WEB_HOST": "runtimes.docker.web_host",
    "ISLANDFLOW_DOCKER_API_HOST": "runtimes.docker.api_host",
    "ISLANDFLOW_DATA_ROOT": "app.data_root",
    "DEPLOY_PUBLIC_APP_URL": "public.app_url",
    "DEPLOY_PUBLIC_API_HEALTH_URL": "public.api_health_url",
}
_PORT_OF_KIND: Final[Mapping[str, str]] = {"ISLANDFLOW_WEB_PORT": "web", "ISLANDFLOW_API_PORT": "api"}
_KEY: Final = "DEPLOY_SSH_KEY_PATH"

PLACES: Final[Mapping[str, str]] = {
    **_TEXT,
    **{name: f'services.*.port of kind "{kind}"' for name, kind in _PORT_OF_KIND.items()},
    _KEY: "hosts.*.key",
}
"""Every variable that is read, and the key that it wins over."""


def override(raw: dict[str, Any], env: Mapping[str, str]) -> dict[paths.Path, str]:
    """Put the variables' values into `raw`; returns which variable each changed path came from."""
    origin: dict[paths.Path, str] = {}
    for name in PLACES:
        value = env.get(name, "")
        if not value:
            continue
        for path in _paths(raw, name):
            if paths.put(raw, path, _number(value) if name in _PORT_OF_KIND else value):
                origin[path] = name
    return origin


def _paths(raw: dict[str, Any], name: str) -> list[paths.Path]:
    if name in _TEXT:
        return [paths.split(_TEXT[name])]
    if name == _KEY:
        return [(*path, "key") for path, host in paths.find(raw, "hosts.*") if isinstance(host, dict)]
    kinds = paths.find(raw, "services.*.kind")
    return [(*path[:-1], "port") for path, kind in kinds if kind == _PORT_OF_KIND[name]]


def _number(value: str) -> int | str:
    """A port as a number; anything else stays text, so that the model says what is wrong with it."""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 9 else value
