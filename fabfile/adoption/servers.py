"""The three servers that hold the data, as containers and as the VPS could run them itself."""

from __future__ import annotations

from typing import Any

from fabfile.adoption.app import below, source_of
from fabfile.adoption.draft import Draft
from fabfile.adoption.scene import SERVERS, Scene
from fabfile.runner.wire.adoption import ContainerFound

_MONITOR = 8222
_DISTRIBUTION = ("{name}-server.service", "{name}.service")


def distribution_units() -> tuple[str, ...]:
    """What packages may call their units."""
    return tuple(unit.format(name=name) for name in SERVERS for unit in _DISTRIBUTION)


def fill(draft: Draft, scene: Scene) -> None:
    """The tables below infra."""
    for name in SERVERS:
        _host(draft, scene, name)
        container = scene.server(name)
        if container is None:
            draft.ask(("infra", name, "image"), f"the project {scene.project.name} has no service called {name}")
        else:
            _container(draft, scene, name, container)


def _host(draft: Draft, scene: Scene, name: str) -> None:
    """The package on the host. What is not installed yet is as shipped: preflight says what is missing."""
    missing = f"{name} is not installed on the VPS yet"
    program, account = scene.facts.programs.get(name, ""), scene.facts.accounts.get(name, "")
    if program:
        draft.found(("infra", name, "binary"), program, "there")
    elif draft.get(("infra", name, "binary")):
        draft.ship(("infra", name, "binary"), draft.get(("infra", name, "binary")), missing)
    if account:
        user, _, group = account.partition(":")
        draft.found(("infra", name, "user"), user, "the package's user")
        draft.found(("infra", name, "group"), group, "the package's group")
    there = [unit for unit in (u.format(name=name) for u in _DISTRIBUTION) if unit in scene.facts.units]
    if there:
        state = scene.facts.units[there[0]]
        draft.found(("infra", name, "distribution_unit"), there[0], f"there, {state.active}, {state.enabled}")


def _container(draft: Draft, scene: Scene, name: str, container: ContainerFound) -> None:
    at = ("infra", name)
    draft.found((*at, "image"), container.image, f"container {container.name}")
    source = source_of(scene, name)
    mount = next((mount for mount in container.mounts if mount.source == source), None)
    if mount is None:
        volumes = ", ".join(f"{m.source} at {m.target}" for m in container.mounts) or "nothing"
        why = f"where its data lies on the host; its container mounts {volumes}"
        draft.ask((*at, "data"), f"{why}. Natives can't reach below /var/lib/docker: a volume must be moved first")
    else:
        root = draft.get("app.data_root") or ""
        draft.found((*at, "data"), below(str(root), source), "bind mount")
        draft.found((*at, "image_data"), mount.target, "bind mount")
        if mount.owner and scene.facts.owner != "native":
            draft.found((*at, "image_user"), mount.owner, f"owner of {source}")
    _ports(draft, name, container)


def _ports(draft: Draft, name: str, container: ContainerFound) -> None:
    shipped: Any = draft.get(("infra", name, "image_port"))
    if shipped in container.listens:
        draft.found(("infra", name, "image_port"), shipped, "the container listens there")
    elif container.listens and container.state == "running":
        draft.ask(
            ("infra", name, "image_port"), f"its port; not {shipped}: the container listens on {container.listens}"
        )
    if name == "nats" and container.listens:
        draft.drop(("infra", name, "monitor_port"))
        if _MONITOR in container.listens:
            draft.found(("infra", name, "monitor_port"), _MONITOR, "the container listens there")
        else:
            draft.note(("infra", name), "NATS has no monitoring here: JetStream is asked over NATS' own protocol.")
