"""The edge: which container, which files, which hostnames, which paths go to the API."""

from __future__ import annotations

import posixpath

from fabfile.adoption.draft import Draft
from fabfile.adoption.scene import Scene, number
from fabfile.runner.wire.adoption import NpmFound

_ADMIN, _TLS = 81, 443


def fill(draft: Draft, scene: Scene) -> None:
    """The table edge, Docker's names for web and API, and what the public side follows from."""
    draft.note("firewall", f"Seen: {scene.facts.firewall}.")
    if scene.npm is None:
        _ask_all(draft, scene)
        return
    npm = scene.npm
    if npm.data:
        draft.found("edge.container", npm.container.name, npm.why)
    else:
        draft.ask(
            "edge.container", f"{npm.container.name} may be it ({npm.why}), but its /data has none of NPM's files"
        )
    _files(draft, npm)
    _network(draft, scene, npm)
    _published(draft, npm)
    _domains(draft, scene)
    _prefixes(draft, scene)


def _ask_all(draft: Draft, scene: Scene) -> None:
    why = scene.problems["edge.container"]
    draft.ask("edge.container", f"Nginx Proxy Manager's container; {why}")
    draft.ask("edge.root", "the folder that holds NPM's data/nginx and data/database.sqlite")
    draft.ask("edge.network", "the Docker network that NPM's container shares with web and API")
    draft.ask("edge.app_domain", "the app's hostname")
    draft.ask("edge.api_domain", "the API's own hostname")


def _files(draft: Draft, npm: NpmFound) -> None:
    if not npm.data:
        draft.ask(
            "edge.root",
            f"the folder that holds NPM's data; container {npm.container.name} mounts none with NPM's files",
        )
    elif posixpath.basename(npm.data) != "data":
        parent = posixpath.dirname(npm.data)
        draft.ask(
            "edge.root",
            f"NPM's /data is {npm.data}, and the tool looks for ROOT/data: make a symbolic link called data to it in a "
            f"folder of its own (ln -s {npm.data} …/data) and name that folder; {parent} has none",
        )
    else:
        draft.found("edge.root", posixpath.dirname(npm.data), f"what container {npm.container.name} has as /data")
    if npm.other_database:
        draft.ask(
            "edge.database",
            f"the container has {npm.other_database}: its database is no SQLite file, which the tool can't change",
        )
    elif npm.database:
        hosts = len(npm.hosts)
        draft.found("edge.database", "data/database.sqlite", f"there, with {hosts} hosts" if hosts else npm.problem)
    else:
        draft.ask("edge.database", f"NPM's SQLite file; {npm.problem or 'it was not found'}")


def _network(draft: Draft, scene: Scene, npm: NpmFound) -> None:
    containers = [
        scene.project.containers[name] for name in (scene.web_service, scene.api_service) if name in scene.services
    ]
    shared = [
        name
        for name in npm.container.networks
        if containers and all(name in container.networks for container in containers)
    ]
    if len(shared) == 1:
        gateway = scene.facts.gateways.get(shared[0], "unknown")
        draft.found("edge.network", shared[0], f"{npm.container.name}, web and API are on it; its gateway is {gateway}")
    else:
        candidates = (
            f"several: {', '.join(shared)}"
            if shared
            else f"none of {', '.join(npm.container.networks) or 'no network'}"
        )
        draft.ask(
            "edge.network", f"the Docker network that {npm.container.name} shares with web and API; found {candidates}"
        )


def _published(draft: Draft, npm: NpmFound) -> None:
    for key, inside in (("https_port", _TLS), ("admin_port", _ADMIN)):
        place = npm.container.published.get(f"{inside}/tcp", "")
        port = number(place.rpartition(":")[2])
        if port:
            draft.found(f"edge.{key}", port, f"published as {place}")


def _domains(draft: Draft, scene: Scene) -> None:
    """The hostnames, and the names by which the edge finds Docker's containers."""
    for key, lead, service, docker in (
        ("edge.app_domain", scene.app, scene.web_service, "web_host"),
        ("edge.api_domain", scene.api, scene.api_service, "api_host"),
    ):
        if lead and lead.host.problem:
            draft.note("edge", f"NPM's host {lead.host.id}: {lead.host.problem}")
        if lead is None:
            draft.ask(key, scene.problems.get(key, "no host of Nginx Proxy Manager leads to it"))
        else:
            others = f"; also {', '.join(lead.host.names[1:])}, which are left alone" if lead.host.names[1:] else ""
            state = "" if lead.host.enabled else ", closed"
            place = f"{lead.host.host}:{lead.host.port}"
            draft.found(key, lead.host.names[0].lower(), f"NPM's host {lead.host.id}, to {place}{state}{others}")
        _docker_name(draft, scene, f"runtimes.docker.{docker}", lead.host.host if lead else "", service)
    if scene.api:
        host = scene.api.host
        state = "is enabled" if host.enabled else "is disabled, or leads nowhere"
        draft.propose("public.raw_api", "open" if host.enabled else "closed", f"NPM's host {host.id} {state}")


def _docker_name(draft: Draft, scene: Scene, key: str, leads: str, service: str) -> None:
    """What the edge calls a container: as its host says, while that leads to Docker; else one of its names there."""
    container = scene.services.get(service)
    network = draft.get("edge.network")
    names = container.aliases.get(str(network), ()) if container and network else ()
    if leads and leads in names:
        draft.found(key, leads, "where NPM's host leads; a name of its container on that network")
    elif service and service in names:
        draft.propose(key, service, "a name of its container on the edge's network")
    elif names:
        draft.propose(key, names[0], "a name of its container on the edge's network")
    elif service:
        draft.ask(key, f"the name of {service}'s container on the edge's network; it is on none that the edge is on")
    else:
        draft.ask(key, "the name by which the edge finds its container; the service was not recognised")


def _prefixes(draft: Draft, scene: Scene) -> None:
    found = list(scene.app.host.prefixes) if scene.app and scene.app.routes else []
    shipped = list(scene.shipped.get("edge", {}).get("api_prefixes", ())) if scene.known else []
    if scene.known:
        more = [prefix for prefix in found if prefix not in shipped]
        where = f"{len(found)} of them in NPM's file of {scene.app.host.names[0]}" if scene.app else "no host was found"
        draft.propose("edge.api_prefixes", shipped + more, f"{where}; what else the API serves is as shipped")
    elif found:
        draft.found("edge.api_prefixes", found, f"NPM's file of {scene.app.host.names[0] if scene.app else '?'}")
    else:
        draft.ask("edge.api_prefixes", "the first parts of the paths that go to the API; NPM's file has no such routes")
