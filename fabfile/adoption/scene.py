"""Which of all that is on a VPS is the app: its Compose project, its edge, its two hostnames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fabfile.errors import UsageError
from fabfile.runner.wire.adoption import Adoption, ContainerFound, NpmFound, Project, ProxyFound
from fabfile.runner.wire.edge import has_name

SERVERS = ("nats", "redis", "clickhouse")


@dataclass(frozen=True)
class Choice:
    """What somebody has chosen already, for where several could be meant; empty where nothing is chosen."""

    project: str = ""
    container: str = ""
    app_domain: str = ""
    api_domain: str = ""


@dataclass(frozen=True)
class Lead:
    """A proxy host that leads to the app: the services that get its pages and its routes."""

    host: ProxyFound
    page: str
    routes: str = ""


@dataclass(frozen=True)
class Scene:
    """The app as it was recognised. What is not sure has a problem, in words, by the key of the inventory."""

    facts: Adoption
    shipped: Mapping[str, Any]
    project: Project
    known: bool  # it is the app of the shipped inventory
    npm: NpmFound | None = None
    app: Lead | None = None
    api: Lead | None = None
    web_service: str = ""
    api_service: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def services(self) -> dict[str, ContainerFound]:
        """The app's own services, in the shipped order, then by name."""
        order = list(self.shipped.get("services", {}))
        own = {name: container for name, container in self.project.containers.items() if is_app(name, container)}
        return dict(sorted(own.items(), key=lambda item: (_index(order, item[0]), item[0])))

    def server(self, name: str) -> ContainerFound | None:
        """The container of one of the three servers."""
        return self.project.containers.get(name)


def recognised(facts: Adoption, shipped: Mapping[str, Any], choice: Choice) -> Scene:
    """The app among all that is there. Raises UsageError where there is none, or several could be meant."""
    project = _project(facts, shipped, choice)
    known = _known(project, shipped)
    npm, problem = _npm(facts, project, choice)
    problems = {"edge.container": problem} if problem else {}
    leads = _leads(facts, project, npm) if npm else []
    app, trouble = _app_lead(leads, project, shipped, known, choice)
    if trouble:
        problems["edge.app_domain"] = trouble
    web, api_service = _roles(app, leads, shipped, known)
    api, trouble = _api_lead(leads, npm, app, api_service, choice)
    if trouble:
        problems["edge.api_domain"] = trouble
    return Scene(facts, shipped, project, known, npm, app, api, web, api_service, problems)


def is_app(name: str, container: ContainerFound) -> bool:
    """Whether a service is the app's own, and no server that holds data."""
    return name not in SERVERS and not any(server in container.image for server in SERVERS)


def _index(order: list[str], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _project(facts: Adoption, shipped: Mapping[str, Any], choice: Choice) -> Project:
    if choice.project:
        if choice.project not in facts.projects:
            raise UsageError.unknown("Compose project", choice.project, facts.projects or ("none is there",))
        return facts.projects[choice.project]
    scores = {name: _score(project, shipped) for name, project in facts.projects.items()}
    best = max(scores.values(), default=0)
    candidates = [name for name, score in scores.items() if score == best]
    if best <= 0:
        raise UsageError(
            "no Compose project on the VPS looks like the app: none has a service that starts with bun, or a NATS "
            f"(found: {', '.join(facts.projects) or 'no project at all'})",
            next_step="Start the app in Docker once, so that its containers are there, or say --project NAME.",
        )
    if len(candidates) > 1:
        raise UsageError(
            f"several Compose projects could be the app: {', '.join(candidates)}",
            next_step=f"Say which one: inv init --project {candidates[0]}",
        )
    return facts.projects[candidates[0]]


def _score(project: Project, shipped: Mapping[str, Any]) -> int:
    """How much a project looks like the app: bun's services and the servers count, names that are known, what runs."""
    servers = sum(name in project.containers for name in SERVERS)
    starts = sum(
        container.start is not None and not container.start.problem for container in project.containers.values()
    )
    names = sum(name in shipped.get("services", {}) for name in project.containers)
    running = sum(container.state == "running" for container in project.containers.values())
    return (2 * servers + starts + names + running) if servers or starts else 0


def _known(project: Project, shipped: Mapping[str, Any]) -> bool:
    """Whether it is the app of the shipped inventory: web, API and most of its services are there."""
    services = shipped.get("services", {})
    there = [name for name in services if name in project.containers]
    roles = [name for name in there if services[name].get("kind") in ("web", "api")]
    return len(roles) == 2 and 2 * len(there) > len(services)


def _npm(facts: Adoption, project: Project, choice: Choice) -> tuple[NpmFound | None, str]:
    """NPM's container: the chosen one, the only one, or the only one that leads to the project."""
    named = [npm for npm in facts.edges if choice.container in ("", npm.container.name)]
    if not named:
        there = ", ".join(npm.container.name for npm in facts.edges)
        return None, (
            f"there is no container {choice.container} that is Nginx Proxy Manager; there is: {there}"
            if choice.container and there
            else "no container on the VPS is Nginx Proxy Manager: none has nginx/proxy_host in its /data"
        )
    leading = [npm for npm in named if _leads(facts, project, npm)]
    chosen = leading if len(leading) == 1 else named
    if len(chosen) > 1:
        return None, f"several containers are Nginx Proxy Manager: {', '.join(npm.container.name for npm in chosen)}"
    return chosen[0], ""


def _leads(facts: Adoption, project: Project, npm: NpmFound) -> list[Lead]:
    """NPM's hosts that lead to services of the project."""
    found = []
    for host in npm.hosts:
        page = _service_at(facts, project, npm, host.host, host.port)
        routes = _service_at(facts, project, npm, host.route_host, host.route_port) if host.route_host else ""
        if page or routes:
            found.append(Lead(host, page, routes))
    return found


def _service_at(facts: Adoption, project: Project, npm: NpmFound, host: str, port: int) -> str:
    """The service behind an upstream: a container by its name or address there, or what the host itself listens on."""
    networks = list(npm.container.networks)
    for name, container in project.containers.items():
        shared = [network for network in networks if network in container.networks]
        names = {alias for network in shared for alias in container.aliases.get(network, ())} | {name, container.name}
        names |= {container.networks[network] for network in shared}
        if is_app(name, container) and shared and host in names and port in ports(container):
            return name
    local = host in facts.gateways.values() or host in ("host.docker.internal", "127.0.0.1")
    published = {
        name: container
        for name, container in project.containers.items()
        if is_app(name, container) and container.published
    }
    return next((name for name, container in published.items() if local and port in _on_the_host(container)), "")


def _on_the_host(container: ContainerFound) -> set[int]:
    """The host's ports at which a service is reached: Docker's, and those that native would listen on."""
    return {number(place.rpartition(":")[2]) for place in container.published.values()} | set(ports(container))


def ports(container: ContainerFound) -> tuple[int, ...]:
    """The ports that a service is meant to be reached at, those that it publishes first."""
    published = [number(key.partition("/")[0]) for key in container.published if key.endswith("/tcp")]
    return tuple(port for port in dict.fromkeys([*published, *container.exposed]) if port)


def number(text: str) -> int:
    """A port as Docker writes it; 0 for anything else, as where it chooses one itself."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0


def _app_lead(
    leads: list[Lead], project: Project, shipped: Mapping[str, Any], known: bool, choice: Choice
) -> tuple[Lead | None, str]:
    """The host of the app's pages: the one whose routes lead elsewhere, else the one that leads to pages."""
    if choice.app_domain:
        found = [lead for lead in leads if has_name(lead.host.names, choice.app_domain)]
        return (found[0], "") if found else (None, f"no host of Nginx Proxy Manager leads {choice.app_domain} here")
    routed = [lead for lead in leads if lead.page and lead.routes and lead.page != lead.routes]
    web = next((n for n, s in shipped.get("services", {}).items() if s.get("kind") == "web"), "") if known else ""
    pages = [lead for lead in leads if lead.page and (lead.page == web or _html(project.containers[lead.page]))]
    candidates = routed or pages
    if len(candidates) == 1:
        return candidates[0], ""
    if not candidates:
        return None, "no host of Nginx Proxy Manager leads to a service of the project that answers with pages"
    names = ", ".join(" ".join(lead.host.names) for lead in candidates)
    return None, f"several hosts of Nginx Proxy Manager lead to the app's pages: {names}"


def _html(container: ContainerFound) -> bool:
    return container.answers.get("/", "").startswith("200 text/html")


def _roles(app: Lead | None, leads: list[Lead], shipped: Mapping[str, Any], known: bool) -> tuple[str, str]:
    """The services of kind web and api; empty where it can't be told."""
    named = {s.get("kind"): n for n, s in shipped.get("services", {}).items()} if known else {}
    web = (app.page if app else "") or str(named.get("web", ""))
    api = (app.routes if app else "") or str(named.get("api", ""))
    if not api:
        others = {lead.page for lead in leads if lead.page and lead.page != web}
        api = others.pop() if len(others) == 1 else ""
    return web, api


def _api_lead(
    leads: list[Lead], npm: NpmFound | None, app: Lead | None, service: str, choice: Choice
) -> tuple[Lead | None, str]:
    """The host of the API's own name: the one that leads to it; where it is closed, by its name."""
    if npm is None:
        return None, ""
    if choice.api_domain:
        named = [host for host in npm.hosts if has_name(host.names, choice.api_domain)]
        return (Lead(named[0], service), "") if named else (None, f"no host there has the name {choice.api_domain}")
    found = [lead for lead in leads if lead.page == service and lead is not app] if service else []
    if not found and app:
        closed = [f"api.{name}" for name in app.host.names]
        found = [Lead(host, service) for host in npm.hosts if any(has_name(host.names, name) for name in closed)]
    if len(found) == 1:
        return found[0], ""
    if not found:
        return None, "no host of Nginx Proxy Manager leads to the app's API"
    return None, f"several hosts lead to the app's API: {', '.join(' '.join(lead.host.names) for lead in found)}"
