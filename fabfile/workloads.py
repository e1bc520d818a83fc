"""The app's services and its servers as each runtime runs them: what `healthy` is asked about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from fabfile.inventory import Server, Service, Site, placeholders
from fabfile.runner.wire.app import Compose, Environment, NatsRef
from fabfile.runner.wire.data import DataRef, Kept
from fabfile.runner.wire.facts import Workload
from fabfile.runner.wire.release import ReleasesRef
from fabfile.runner.wire.settings import Comparison, SettingsFile
from fabfile.terms import Runtime

_SOURCES = (".ts", ".tsx", ".js", ".mjs", ".cjs")


def of_services(site: Site, runtime: Runtime, services: Iterable[Service]) -> tuple[Workload, ...]:
    """Services of the app under a runtime."""
    return tuple(_service(site, runtime, service) for service in services)


def of_servers(site: Site, runtime: Runtime) -> tuple[Workload, ...]:
    """The three servers that hold the durable data, under a runtime."""
    return tuple(_server(site, runtime, server) for server in site.servers)


def everything(site: Site, runtime: Runtime) -> tuple[Workload, ...]:
    """Servers and services under a runtime."""
    return of_servers(site, runtime) + of_services(site, runtime, site.scope("full"))


def environment(site: Site, runtime: Runtime) -> Environment:
    """Where a runtime's environment comes from, as it is."""
    docker, services = site.runtimes.docker, tuple(service.name for service in site.scope("full"))
    if runtime == "native":
        side, app = site.runtimes.native, site.app
        return Environment(
            *(runtime, app.env_file, side.overrides_file),
            settings_file=side.settings_file,
            project=project(site),
            places=placeholders.places(site),
        )
    return Environment(runtime, docker.env_file, docker.overlay_file, compose=project(site), services=services)


def of_units(site: Site, environment: Environment) -> Environment:
    """Native's environment as systemd has it for each service's unit, drop-ins included; Docker's as it is."""
    if environment.runtime != "native":
        return environment
    services = site.scope("full")
    return replace(
        environment,
        services=tuple(service.name for service in services),
        units=tuple(service.unit for service in services),
        user=site.app.user,
    )


def settings_file(site: Site) -> SettingsFile:
    """The file that gives native services the app's settings; only the app's user may read it."""
    app = site.app
    path, places = site.runtimes.native.settings_file, placeholders.places(site)
    return SettingsFile(path, app.env_file, app.user, app.group, project(site), places=places)


def releases(site: Site, ref: str = "") -> ReleasesRef:
    """Where the native app's releases are; with a `ref`, to look up its commit."""
    services = tuple(service.name for service in site.scope("full"))
    return ReleasesRef(
        site.app.checkout, site.releases.folder, site.app.user, services, ref, site.runtimes.docker.project
    )


def sources(service: Service) -> tuple[str, ...]:
    """The files of the checkout among the words that Bun gets to start a service."""
    words = [word for word in service.argv if word.endswith(_SOURCES) and "{" not in word]
    return tuple(str(PurePosixPath(service.directory, word)) for word in words)


def comparison(site: Site, native: Environment) -> Comparison:
    """Native's environment beside Docker's."""
    folders = tuple(service.directory for service in site.scope("full"))
    return Comparison(of_units(site, native), site.runtimes.docker.env_file, folders)


def data(site: Site, runtime: Runtime) -> tuple[DataRef, ...]:
    """How a runtime's servers are asked what they hold."""
    native = runtime == "native"
    return tuple(
        DataRef(
            server.name,
            runtime,
            server.port if native else server.image_port,
            f"infra.{server.name}.{'port' if native else 'image_port'}",
            server.data,
            environment(site, runtime),
            "" if native else site.runtimes.docker.project,
            (site.infra.nats.monitor_port or 0) if server.name == "nats" else 0,
        )
        for server in site.servers
    )


def kept(site: Site) -> tuple[Kept, ...]:
    """Redis' and NATS' data: of the one a link keeps snapshots, of the other all blocks of messages but the last.

    ClickHouse never writes into a part that it has, so that killing it is enough; and linking its thousands of files
    would keep requests waiting.
    """
    redis, nats = site.infra.redis, site.infra.nats
    return (Kept(redis.data, replaced=("*.rdb",)), Kept(nats.data, numbered=("*.blk",)))


def nats(site: Site, runtime: Runtime) -> NatsRef:
    """How a runtime's NATS is asked for streams and durables."""
    server = site.infra.nats
    port = server.port if runtime == "native" else server.image_port
    return NatsRef(port, environment(site, runtime), server.monitor_port or 0)


def project(site: Site) -> Compose:
    """The Compose project of the docker runtime."""
    docker = site.runtimes.docker
    overlay = docker.overlay_file if docker.overrides else ""
    return Compose(docker.project, docker.file, docker.directory, overlay)


def _service(site: Site, runtime: Runtime, service: Service) -> Workload:
    native = runtime == "native"
    return Workload(
        name=service.name,
        runtime=runtime,
        unit=service.unit if native else "",
        user=site.app.user if native else "",
        project="" if native else site.runtimes.docker.project,
        port=service.port or 0,
        protocol="http" if service.port else "",
        path=service.health or "",
        durables=service.durables,
        nats=nats(site, runtime) if service.durables else None,
    )


def _server(site: Site, runtime: Runtime, server: Server) -> Workload:
    native = runtime == "native"
    return Workload(
        name=server.name,
        runtime=runtime,
        unit=server.unit if native else "",
        project="" if native else site.runtimes.docker.project,
        port=server.port if native else server.image_port,
        protocol=server.name,
        environment=environment(site, runtime) if server.name == "redis" else None,
    )
