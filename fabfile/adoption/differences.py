"""How an inventory differs from what is on the VPS: each difference with the line to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fabfile.adoption import toml
from fabfile.adoption.draft import ASKED, FOUND, Draft
from fabfile.adoption.drafting import Login, drafted
from fabfile.adoption.scene import Choice, Scene
from fabfile.adoption.services import durables_by_service
from fabfile.adoption.streams import events, limited
from fabfile.inventory import Site, absolute, paths
from fabfile.runner.wire.adoption import Adoption

_SETS = ("durables",)  # lists whose order says nothing


@dataclass(frozen=True)
class Difference:
    """A key of the inventory that does not say what is there, and what to do about it."""

    key: str
    text: str
    fix: str

    def __str__(self) -> str:
        return f"{self.key}: {self.text}\n→ {self.fix}"


def differences(site: Site, facts: Adoption, shipped: Mapping[str, Any]) -> tuple[list[Difference], list[str]]:
    """Everything that the inventory says otherwise than it is, and what could not be compared, with the reason."""
    docker, edge, host = site.runtimes.docker, site.edge, site.host()
    choice = Choice(docker.project, edge.container, edge.app_domain, edge.api_domain)
    if facts.docker_error:
        return [], [facts.docker_error]
    if docker.project not in facts.projects:
        there = ", ".join(facts.projects) or "none"
        fix = f"runtimes.docker.project = one of these, or start the app in Docker once: {there}"
        return [Difference("runtimes.docker.project", f"no container belongs to {docker.project}", fix)], []
    known = _as_known(site, shipped)
    draft, scene = drafted(facts, known, Login(host.address, host.user, host.port), choice)
    found = [*_values(site, draft), *_entries(site, scene)]
    unseen = [f"{paths.spell(path)}: {entry.value[2:].strip()}" for path, entry in _questions(draft)]
    if scene.project.jetstream.problem:
        unseen.append(f"streams and durables: {scene.project.jetstream.problem}")
    loose = [
        d for d in durables_by_service(scene).get("", []) if not any(d in s.durables for s in site.services.values())
    ]
    if loose:
        unseen.append(f"durables that begin with no service's name: {', '.join(loose)}")
    return found, unseen


def _as_known(site: Site, shipped: Mapping[str, Any]) -> Mapping[str, Any]:
    """What can't be seen comes from the inventory itself, as it would from the shipped one."""
    return {**shipped, **_plain(site.model_dump(mode="json", exclude_none=True))}


def _plain(table: dict[str, Any]) -> dict[str, Any]:
    """Tables as they would stand in the file: an entry's name is its key."""
    for name in ("hosts", "services", "infra", "streams"):
        for entry in table.get(name, {}).values():
            entry.pop("name", None)
    return table


def _values(site: Site, draft: Draft) -> Iterator[Difference]:
    """Values that were found otherwise. Of one that something else is relative to, only it is told."""
    there, said = absolute(draft.raw()), site.model_dump(mode="json")
    for path, entry in draft.entries.items():
        if entry.origin != FOUND or path[0] in ("hosts", "default_host") or not _has_table(said, path):
            continue
        is_so, written = paths.get(there, path), paths.get(said, path)
        if is_so is None or _same(path, is_so, written):
            continue
        text = f"the inventory says {_shown(written)}, and it is {_shown(is_so)} ({entry.why})"
        yield Difference(paths.spell(path), text, f"{toml.key(path)} = {toml.value(entry.value)}")


def _entries(site: Site, scene: Scene) -> Iterator[Difference]:
    """Services and streams that are there and not in the inventory, or the other way round."""
    services = {name for name, container in scene.services.items() if not container.by_profile}
    yield from _apart("services", services, set(site.services), "the project has no service")
    if scene.project.jetstream.problem:
        return
    there, written = events(scene.project.jetstream), set(site.streams)
    needed = {name for name, stream in there.items() if limited(stream)}
    yield from _apart("streams", needed | (written & set(there)), written, "JetStream has none")


def _apart(table: str, there: set[str], written: set[str], gone: str) -> Iterator[Difference]:
    for name in sorted(there - written):
        fix = f"add the table [{toml.key((table, name))}]: `inv init --output FILE` writes one with it"
        yield Difference(paths.spell((table, name)), "is on the VPS and not in the inventory", fix)
    for name in sorted(written - there):
        fix = f"take [{toml.key((table, name))}] out, or have it there first"
        yield Difference(paths.spell((table, name)), f"is in the inventory, and {gone} of that name", fix)


def _has_table(said: dict[str, Any], path: paths.Path) -> bool:
    """Whether the inventory has the table of a value: one that it lacks is a difference of its own."""
    return isinstance(paths.get(said, path[:-1]), dict)


def _same(path: paths.Path, one: Any, other: Any) -> bool:
    if path[-1] in _SETS:
        return sorted(one) == sorted(other or ())
    return bool(one == other)


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return toml.value(list(value))
    return "nothing" if value is None else paths.quote(value)


def _questions(draft: Draft) -> Iterator[tuple[paths.Path, Any]]:
    return ((path, entry) for path, entry in draft.entries.items() if entry.origin == ASKED)
