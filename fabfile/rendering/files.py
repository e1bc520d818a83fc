"""Templates → files. Pure: the same site always gives the same bytes; nothing is read but templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fabfile.inventory import BRIDGE, Server, Service, Site, placeholders
from fabfile.rendering import quoting
from fabfile.resources import TEMPLATES
from fabfile.runner import recovery, store
from fabfile.terms import Runtime

SYSTEM_UNITS: Final = PurePosixPath("/etc/systemd/system")
DATA_FOLDER: Final = "/run/islandflow/data"
"""Through which native servers write to their data while it is sealed."""
NATS_CONFIG: Final = "/etc/islandflow/nats.conf"
"""Configuration of the native NATS, where it needs one."""
SERVER_STOP: Final = 30
"""Seconds that systemd gives a server to end."""
_HOMES: Final = ("/home", "/root", "/run/user")
"""What ProtectHome= hides."""


@dataclass(frozen=True)
class File:
    """A file as it must be on the VPS. Its directory may have to be made, with the same owner and group."""

    path: str
    content: bytes
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"


def infra(site: Site) -> tuple[File, ...]:
    """The system units, redis.conf and ClickHouse's drop-in: everything that native servers need."""
    servers = site.infra
    return (
        _seal_unit(site),
        *(_system_unit(site, server) for server in site.servers),
        *_nats_config(site),
        _root_file(site, servers.redis.config, "config/redis.conf.j2", server=servers.redis),
        _root_file(site, servers.clickhouse.drop_in, "config/clickhouse.xml.j2", server=servers.clickhouse),
    )


def app(site: Site, *, bind: str, services: Sequence[Service] | None = None) -> tuple[File, ...]:
    """The user units of `services` (of all, if None) and the environment that overrides the app's own.

    `bind` is the IPv4 address where web and API listen; for "bridge" that is the bridge's gateway.
    """
    if bind == BRIDGE:
        raise ValueError('`bind` must be an address; the survey knows which one "bridge" is')
    chosen = site.scope("full") if services is None else services
    return (
        *(_user_unit(site, service, bind) for service in chosen),
        _environment(site, bind=bind),
    )


def release_units(site: Site, services: Sequence[Service]) -> tuple[File, ...]:
    """The drop-ins of services' units that have them run from their links, and so from releases."""
    app = site.app
    return tuple(
        _app_file(
            site,
            f"{app.unit_directory}/{service.unit}.d/release.conf",
            "systemd/user/release.conf.j2",
            directory=released(site, service, service.directory),
        )
        for service in services
    )


def released(site: Site, service: Service, path: str) -> str:
    """A path of the checkout as the service finds it in the release that it runs from."""
    link = PurePosixPath(site.releases.folder, "live", service.name)
    checkout = PurePosixPath(site.app.checkout)
    inside = PurePosixPath(path).is_relative_to(checkout)
    return str(link / PurePosixPath(path).relative_to(checkout)) if inside else path


def overlay(site: Site) -> tuple[File, ...]:
    """What Compose lays over the app's own file, which stays as it is: nothing where there are no overrides."""
    docker = site.runtimes.docker
    if not docker.overrides:
        return ()
    values = overrides(site, "docker", bind=placeholders.EVERY_ADDRESS)
    return (_root_file(site, docker.overlay_file, "compose/overlay.yml.j2", docker=docker, overrides=values),)


def overrides(site: Site, runtime: Runtime, *, bind: str) -> dict[str, str]:
    """The variables that a runtime's overrides set, placeholders filled; its web and API listen on `bind`.

    Native's settings file has those whose other parts the app's env file knows (`placeholders.places`).
    """
    native = runtime == "native"
    side, elsewhere = (site.runtimes.native, placeholders.places(site)) if native else (site.runtimes.docker, {})
    values = placeholders.values(site, runtime, bind=bind)
    return {name: placeholders.fill(text, values) for name, text in side.overrides.items() if name not in elsewhere}


def _system_unit(site: Site, server: Server) -> File:
    path = str(SYSTEM_UNITS / server.unit)
    values = {
        "server": server,
        "stop": SERVER_STOP,
        "config": NATS_CONFIG if _nats_config(site) else "",
        "folder": DATA_FOLDER,
        "above": str(PurePosixPath(server.data).parent),
        "in_home": any(f"{path}/".startswith(f"{home}/") for path in _needed(site, server) for home in _HOMES),
    }
    return _root_file(site, path, f"systemd/system/{server.name}.service.j2", **values)


def _nats_config(site: Site) -> tuple[File, ...]:
    """What NATS has no option for; no file where that is as NATS has it by itself."""
    nats = site.infra.nats
    if nats.max_payload == type(nats).model_fields["max_payload"].default:
        return ()
    return (_root_file(site, NATS_CONFIG, "config/nats.conf.j2", server=nats),)


def _needed(site: Site, server: Server) -> list[str]:
    """What a server's unit must see besides the system's own files."""
    configs = [getattr(server, key) for key in ("config", "drop_in") if hasattr(server, key)]
    return [server.data, server.binary, site.app.owner_file, *configs]


def _seal_unit(site: Site) -> File:
    values = {
        "folder": DATA_FOLDER,
        "runner": str(store.ROOT / recovery.LINK),
        "directories": [f"{server.name}={server.data}" for server in site.servers],
    }
    return _root_file(site, str(SYSTEM_UNITS / site.seal_unit), "systemd/system/seal.service.j2", **values)


def _user_unit(site: Site, service: Service, bind: str) -> File:
    path = f"{site.app.unit_directory}/{service.unit}"
    values = placeholders.values(site, "native", bind=bind, service=service)
    argv = [site.app.bun, *(placeholders.fill(word, values) for word in service.argv)]
    return _app_file(site, path, "systemd/user/service.j2", service=service, argv=argv)


def _environment(site: Site, *, bind: str) -> File:
    return _root_file(
        site,
        site.runtimes.native.overrides_file,
        "config/environment.env.j2",
        overrides=overrides(site, "native", bind=bind),
        quote=quoting.systemd_env,
    )


def _root_file(site: Site, path: str, template: str, **values: Any) -> File:
    """A file of root's that everybody may read; nothing that is rendered is secret."""
    return File(path, _jinja().get_template(template).render(site=site, **values).encode())


def _app_file(site: Site, path: str, template: str, **values: Any) -> File:
    """The same, belonging to the app's user: it stands in that user's home."""
    return replace(_root_file(site, path, template, **values), owner=site.app.user, group=site.app.group)


@cache
def _jinja() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for filter_ in (quoting.specifiers, quoting.exec_word, quoting.exec_line, quoting.path_word, quoting.bind_word):
        environment.filters[filter_.__name__] = filter_
    environment.filters.update(compose=quoting.compose, redis=quoting.redis, xml=quoting.xml)
    return environment
