"""A VPS as `init` finds it: everything that an inventory says, in the words of Docker, NPM, git and NATS."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fabfile.inventory import Server, Service, Site
from fabfile.runner.wire.adoption import (
    Adoption,
    ContainerFound,
    EnvFileFound,
    Mount,
    NpmFound,
    Project,
    ProxyFound,
    StartFound,
    Work,
)
from fabfile.runner.wire.app import Consumer, JetStream, Stream
from fabfile.runner.wire.facts import Unit

GATEWAY = "172.18.0.1"
CONSUMER = Consumer(True, 0, 0, 0, 1, 1, 1, "2026-01-01T00:00:00Z")
AGE = 3_600_000  # milliseconds


def vps(site: Site) -> Adoption:
    """The VPS that an inventory describes, before the first hand-over: the app is up in Docker."""
    return Adoption(
        host="vps",
        projects={site.runtimes.docker.project: project(site), "elsewhere": Project("elsewhere", "/srv/elsewhere")},
        edges=(npm(site),),
        gateways={site.edge.network: GATEWAY},
        programs={server.name: server.binary for server in site.servers},
        accounts={server.name: f"{server.user}:{server.group}" for server in site.servers},
        units={server.distribution_unit: unit(server.distribution_unit) for server in site.servers},
        listening=(22, 80, 443),
        firewall="UFW is active and would deny what no rule names",
    )


def project(site: Site) -> Project:
    """The app's Compose project."""
    docker, app = site.runtimes.docker, site.app
    return Project(
        name=docker.project,
        directory=docker.directory,
        files=(docker.file,),
        containers={
            **{service.name: _app(site, service) for service in site.services.values()},
            **{server.name: _server(server) for server in site.servers},
        },
        work=Work(
            root=app.checkout,
            remote="https://git.example/islandflow.git",
            branch="main",
            head="a" * 40,
            user=app.user,
            group=app.group,
            home=f"/home/{app.user}",
            lingering=True,
            bun=app.bun,
            bun_version="1.3.11",
            paths=tuple(path for service in site.services.values() for path in service.build_rewrites),
        ),
        env_files=(
            EnvFileFound(f"{docker.directory}/.env", ("NATS_URL", "SECRET_KEY"), {"STREAM_RAW_MAX_AGE_MS": str(AGE)}),
            EnvFileFound(app.env_file, ("NATS_URL", "SECRET_KEY"), {"STREAM_RAW_MAX_AGE_MS": str(AGE)}),
        ),
        differing=("LOG_LEVEL", "NATS_URL"),
        jetstream=jetstream(site),
    )


def jetstream(site: Site) -> JetStream:
    """The streams of the inventory; all durables are consumers of the first."""
    durables = {name: CONSUMER for service in site.services.values() for name in service.durables}
    streams = {
        name: Stream(AGE * 1_000_000, stream.max_bytes, 10, 10, durables if index == 0 else {})
        for index, (name, stream) in enumerate(site.streams.items())
    }
    return JetStream("docker", streams)


def npm(site: Site) -> NpmFound:
    """Nginx Proxy Manager with the app's two hosts and somebody else's."""
    edge, docker = site.edge, site.runtimes.docker
    assert site.web.port and site.api.port
    return NpmFound(
        container=ContainerFound(
            service="app",
            name=edge.container,
            image="jc21/nginx-proxy-manager:2",
            state="running",
            networks={edge.network: "172.18.0.2"},
            published={f"{inside}/tcp": f"0.0.0.0:{port}" for inside, port in _published(site)},
            variables=("SECRET_KEY",),
        ),
        why="its /data has nginx/proxy_host",
        data=f"{edge.root}/data",
        database=True,
        hosts=(
            ProxyFound(
                1, (edge.app_domain,), True, docker.web_host, site.web.port, edge.api_prefixes[:3],
                docker.api_host, site.api.port,
            ),
            ProxyFound(2, (edge.api_domain,), True, docker.api_host, site.api.port),
            ProxyFound(3, ("other.example.test",), True, "other", 8080),
        ),
    )  # fmt: skip


def unit(name: str) -> Unit:
    """A unit of a package, stopped."""
    return Unit(name, "loaded", "inactive", "dead", "disabled", 0, 0, "success", "", False)


def with_project(facts: Adoption, site: Site, **values: Any) -> Adoption:
    """The VPS with some facts about the app's project replaced."""
    name = site.runtimes.docker.project
    return dataclasses.replace(
        facts, projects={**facts.projects, name: dataclasses.replace(facts.projects[name], **values)}
    )


def with_container(facts: Adoption, site: Site, service: str, **values: Any) -> Adoption:
    """The VPS with some facts about one container replaced."""
    containers = facts.projects[site.runtimes.docker.project].containers
    return with_project(
        facts, site, containers={**containers, service: dataclasses.replace(containers[service], **values)}
    )


def with_hosts(facts: Adoption, *hosts: ProxyFound) -> Adoption:
    """The VPS with other hosts in Nginx Proxy Manager."""
    return dataclasses.replace(facts, edges=(dataclasses.replace(facts.edges[0], hosts=hosts),))


def renamed(containers: Mapping[str, ContainerFound], names: Mapping[str, str]) -> dict[str, ContainerFound]:
    """Containers under other service names."""
    return {
        names.get(name, name): dataclasses.replace(container, service=names.get(name, name))
        for name, container in containers.items()
    }


def in_order(service: Service) -> Service:
    """A service with its durables as `init` writes them."""
    return service.model_copy(update={"durables": tuple(sorted(service.durables))})


def _app(site: Site, service: Service) -> ContainerFound:
    docker, port = site.runtimes.docker, service.port
    host = {"web": docker.web_host, "api": docker.api_host}.get(service.kind, service.name)
    directory = service.directory.removeprefix(site.app.checkout).lstrip("/") or "."
    kind = "text/html" if service.kind == "web" else "application/json"
    return ContainerFound(
        service=service.name,
        name=f"{docker.project}-{service.name}-1",
        image=f"{docker.project}-{service.name}",
        state="running",
        networks={"default": "172.19.0.5", **({site.edge.network: "172.18.0.5"} if port else {})},
        aliases={site.edge.network: (host, service.name)} if port else {},
        published={f"{port}/tcp": f"127.0.0.1:{port}"} if port else {},
        exposed=(port,) if port else (),
        listens=(port,) if port else (),
        answers={service.health: f"200 {kind}"} if service.health else {},
        variables=("NATS_URL", "REDIS_URL", "CLICKHOUSE_URL", "SECRET_KEY"),
        start=StartFound(directory, tuple(service.argv)),
    )


def _server(server: Server) -> ContainerFound:
    listens = (server.image_port, *([8222] if server.name == "nats" else []))
    return ContainerFound(
        service=server.name,
        name=f"x-{server.name}-1",
        image=server.image,
        state="running",
        networks={"default": "172.19.0.6"},
        mounts=(
            Mount(server.data, server.image_data, "bind", server.image_user),
            Mount("/srv/config.xml", "/etc/config.xml", "bind", "0:0"),
        ),
        listens=listens,
    )


def _published(site: Site) -> list[tuple[int, int]]:
    return [(80, 80), (443, site.edge.https_port), (81, site.edge.admin_port)]
