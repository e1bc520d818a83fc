"""What the inventory that comes with the tool says, as far as it holds for the app that was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fabfile.adoption.draft import Draft
from fabfile.adoption.scene import Scene
from fabfile.inventory import paths, questions

# Of any app: the tool's own choices, and the servers, which are the same programs everywhere.
_OF_ANY_APP = (
    "app.name",
    "app.owner_file",
    "runtimes.native.bind",
    "runtimes.native.upstream",
    "runtimes.native.overrides_file",
    "runtimes.native.overrides.*",
    "runtimes.docker.overlay_file",
    "infra.*.*",
    "backup.*",
    "edge.hold",
    "edge.hold_limit",
    "edge.api_port",
    "edge.https_port",
    "edge.admin_port",
    "firewall.*",
    "public.resolve",
    "public.https_port",
    "public.http_port",
    "public.verify_tls",
    "public.certificate_days",
    "timeouts.*",
)
_PLACES = ("runtimes", "native", "overrides")


def fill(draft: Draft, scene: Scene) -> None:
    """Every value of the shipped inventory, to be replaced by what is found; of another app only what holds for any."""
    for path, value in _leaves(scene.shipped, ()):
        if path[:1] in (("hosts",), ("default_host",)) or questions.is_question(value):
            continue
        if path[:3] == _PLACES:
            _override(draft, scene, path, value)
        elif scene.known or any(paths.matches(path, pattern) for pattern in _OF_ANY_APP):
            draft.ship(path, value)
    if not scene.known:
        draft.propose("app.install_argv", ["install"], "how Bun installs what a checkout needs")


def _override(draft: Draft, scene: Scene, path: paths.Path, value: Any) -> None:
    """Overrides by placeholder are what the app needs natively; a plain value is what one installation chose."""
    seen = {name for container in scene.services.values() for name in container.variables}
    if isinstance(value, str) and "{" in value and (scene.known or path[-1] in seen):
        draft.ship(path, value, "a place that is another one natively")


def _leaves(value: Any, at: paths.Path) -> Iterator[tuple[paths.Path, Any]]:
    if isinstance(value, Mapping) and (value or not at):
        for key, item in value.items():
            yield from _leaves(item, (*at, key))
    else:
        yield at, value
