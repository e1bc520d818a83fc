"""The app's services: what each is, how it starts, where it answers, which durables are its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fabfile.adoption.draft import Draft
from fabfile.adoption.scene import Scene, ports
from fabfile.runner.wire.adoption import ContainerFound, StartFound

_ADDRESSES = ("0.0.0.0", "127.0.0.1", "localhost", "::")
_SEEN = ("kind", "directory", "argv", "port", "parking_port", "health", "durables")  # what has a source of its own
_PARKING = 10_000  # above the port of the service


def fill(draft: Draft, scene: Scene) -> None:
    """A table for each service that has a container and that Compose starts by itself."""
    owners = durables_by_service(scene)
    parked: set[int] = set()
    for name, container in scene.services.items():
        draft.drop(("services", name))
        if container.by_profile:
            draft.note("services", f"{name} is left out: Compose starts it only for a profile.")
            continue
        known: Mapping[str, Any] = scene.shipped.get("services", {}).get(name, {}) if scene.known else {}
        kind = _kind(draft, scene, name, container)
        _start(draft, scene, name, container, kind, known)
        if kind in ("web", "api"):
            _served(draft, scene, name, container, known, parked)
        _durables(draft, scene, name, owners.get(name, []), known)
        if container.count > 1:
            draft.note(("services", name), f"In Docker it runs {container.count} times, natively once.")
    for name in [name for name in scene.shipped.get("services", {}) if scene.known and name not in scene.services]:
        draft.drop(("services", name))
        draft.note("services", f"{name} is left out: the project has no container of it.")


def durables_by_service(scene: Scene) -> dict[str, list[str]]:
    """The durables of the running NATS by the service whose name they begin with; unclaimed ones under ""."""
    found: dict[str, list[str]] = {}
    for stream in scene.project.jetstream.streams.values():
        for durable in stream.consumers:
            owners = [name for name in scene.services if durable.startswith(f"{name}-")]
            found.setdefault(max(owners, key=len, default=""), []).append(durable)
    return {name: sorted(set(durables)) for name, durables in found.items()}


def _kind(draft: Draft, scene: Scene, name: str, container: ContainerFound) -> str:
    path = ("services", name, "kind")
    if name == scene.web_service:
        draft.found(path, "web", _because(scene, "page"))
        return "web"
    if name == scene.api_service:
        draft.found(path, "api", _because(scene, "routes"))
        return "api"
    if not ports(container):
        draft.found(path, "worker", "its container publishes and exposes nothing")
        return "worker"
    if scene.web_service and scene.api_service:
        draft.propose(path, "worker", "the edge does not lead to it")
        return "worker"
    draft.ask(
        path, f"web, api or worker; it listens on {', '.join(map(str, ports(container)))}, and no host leads to it"
    )
    return ""


def _because(scene: Scene, what: str) -> str:
    if scene.app is None:
        return "its name, as shipped: no host of the edge says so"
    sends = "`location /`" if what == "page" else "the API's paths" if scene.app.routes else ""
    return f"NPM's host {scene.app.host.names[0]} sends {sends} to it" if sends else "its name, as shipped"


def _start(
    draft: Draft, scene: Scene, name: str, container: ContainerFound, kind: str, known: Mapping[str, Any]
) -> None:
    """How it starts natively: as its container does, unless that is made for a container only."""
    start = container.start or StartFound(problem="it has no container")
    shipped = (known.get("directory", "."), list(known.get("argv", ())))
    evidence = f"`bun {' '.join(start.argv)}`"
    at = ("services", name)
    if known and (start.problem or _only_inside(start, container)):
        why = start.problem or f"its container's {evidence} is made for the container"
        draft.ship((*at, "directory"), shipped[0], why)
        draft.ship((*at, "argv"), shipped[1], why)
        _as_shipped(draft, scene, name, known)
    elif start.problem:
        draft.ask((*at, "argv"), f"what bun gets to start it natively; {start.problem}")
        draft.ask((*at, "directory"), "where in the checkout it starts")
    elif known and shipped == (start.directory, list(start.argv)):
        draft.propose((*at, "directory"), shipped[0], "its container's own command, and as shipped")
        draft.propose((*at, "argv"), shipped[1], "its container's own command, and as shipped")
        _as_shipped(draft, scene, name, known)
    else:
        argv = [_native(word, container) for word in start.argv]
        inside = " (with placeholders for addresses and ports)" if argv != list(start.argv) else ""
        draft.propose((*at, "directory"), start.directory, f"its container's own command{inside}")
        draft.propose((*at, "argv"), argv, f"its container's own command{inside}")
        _build(draft, name, start, kind, known)
        _stop(draft, name, container, known)


def _as_shipped(draft: Draft, scene: Scene, name: str, known: Mapping[str, Any]) -> None:
    """Whatever else is shipped of a service that starts as shipped: how it is built, and how it is stopped."""
    rewrites = [path for path in known.get("build_rewrites", ()) if path in scene.project.work.paths]
    for key, value in known.items():
        if key == "build_rewrites":
            draft.ship(("services", name, key), rewrites, "those that the checkout has")
        elif key not in _SEEN:
            draft.ship(("services", name, key), value)


def _build(draft: Draft, name: str, start: StartFound, kind: str, known: Mapping[str, Any]) -> None:
    """Of a service that starts otherwise than shipped: pages are built as a rule, where there is a script for it."""
    at = ("services", name)
    if kind == "web" and "build" in start.scripts:
        draft.propose((*at, "build_argv"), ["run", "build"], "a script of its package.json")
        for key in ("build_timeout", "build_env"):
            if key in known:
                draft.ship((*at, key), known[key])


def _stop(draft: Draft, name: str, container: ContainerFound, known: Mapping[str, Any]) -> None:
    """How it is stopped: as shipped, else as its container is."""
    for key, there in (("stop_signal", container.stop_signal), ("stop_timeout", container.stop_timeout), ("unit", "")):
        if key in known:
            draft.ship(("services", name, key), known[key])
        elif there and not known:
            draft.propose(("services", name, key), there, "its container's own")


def _only_inside(start: StartFound, container: ContainerFound) -> bool:
    return any(_native(word, container) != word for word in start.argv)


def _native(word: str, container: ContainerFound) -> str:
    """A word of a container's command with what differs natively as a placeholder."""
    if word in _ADDRESSES:
        return "{bind}"
    return "{port}" if word in map(str, ports(container)) else word


def _served(
    draft: Draft, scene: Scene, name: str, container: ContainerFound, known: Mapping[str, Any], parked: set[int]
) -> None:
    found = ports(container)
    if len(found) == 1 or (known and known.get("port") in found):
        port = found[0] if len(found) == 1 else known["port"]
        place = container.published.get(f"{port}/tcp")
        draft.found(("services", name, "port"), port, f"published as {place}" if place else "exposed by its container")
        _parking(draft, scene, name, known.get("parking_port") or port + _PARKING, parked)
    else:
        draft.ask(("services", name, "port"), f"where it listens; its container has {found or 'no port'}")
        draft.ask(("services", name, "parking_port"), "a free port, where requests wait while no runtime is up")
    _health(draft, name, container, known)


def _parking(draft: Draft, scene: Scene, name: str, wanted: int, parked: set[int]) -> None:
    """A port of our own choosing that nobody holds."""
    taken = {*scene.facts.listening, *parked}
    free = next((port for port in range(wanted, 65_536) if port not in taken), 0)
    if not free:
        draft.ask(("services", name, "parking_port"), "a free port, where requests wait while no runtime is up")
        return
    parked.add(free)
    draft.propose(("services", name, "parking_port"), free, "nobody listens there; ours to choose")


def _health(draft: Draft, name: str, container: ContainerFound, known: Mapping[str, Any]) -> None:
    path, shipped = ("services", name, "health"), known.get("health")
    good = [asked for asked, said in container.answers.items() if said.startswith("200")]
    if shipped in good or (good and not shipped):
        chosen = shipped if shipped in good else good[0]
        draft.propose(path, chosen, f"GET {chosen} answers {container.answers[chosen]}")
    elif shipped:
        draft.ship(
            path, shipped, "its container answers nothing" if container.state == "running" else "its container is down"
        )
    else:
        evidence = ", ".join(f"{asked} {said}" for asked, said in container.answers.items()) or "nothing answered"
        draft.ask(path, f"the path that answers 200 while it is well; asked: {evidence}")


def _durables(draft: Draft, scene: Scene, name: str, found: Iterable[str], known: Mapping[str, Any]) -> None:
    path, problem = ("services", name, "durables"), scene.project.jetstream.problem
    if not problem:
        draft.found(path, list(found), "JetStream, by their names" if found else "JetStream has none of its name")
    elif known.get("durables"):
        draft.ship(path, list(known["durables"]), f"JetStream could not be asked ({problem})")
    elif not known:
        draft.ask(path, f"its JetStream consumers, [] for none; JetStream could not be asked: {problem}")
