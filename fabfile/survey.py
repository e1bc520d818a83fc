"""What a survey asks for, from the inventory, and what plans read from its facts."""

from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath
from typing import Any

from fabfile import workloads
from fabfile.inventory import BRIDGE, RUNTIMES, Service, Site
from fabfile.inventory.placeholders import EVERY_ADDRESS
from fabfile.rendering import files
from fabfile.runner import store
from fabfile.runner.facts.programs.needs import ENTER, READ, RUN
from fabfile.runner.system.owner import owner_of
from fabfile.runner.wire.app import AdapterRef, Environment, Need, Program, ProviderRef, StreamsRef, UnitFile
from fabfile.runner.wire.edge import EdgeRef, HostFact
from fabfile.runner.wire.facts import Facts, FactsRequest, Workload
from fabfile.runner.wire.terms import Owner
from fabfile.terms import Runtime

DAEMON = "docker.service"  # Docker's own unit, as its packages have it
_APART_SECONDS = 1.0  # seconds between the two looks that show whether a durable's pending messages grow


def request(site: Site, *, versions: bool = False) -> FactsRequest:
    """Everything the plans judge by, in one round trip; before a hand-over with `versions`.

    Those are the servers' versions on both sides, what they hold, the provider's answer to each side's key, the owner's
    JetStream, and for the record how exposed native units run.
    They are apart because a container has to be started for each version, and because the provider is somebody else's.
    """
    services = site.scope("full")
    ports = [server.port for server in site.servers] + [s.port for s in services if s.port]
    ports += [s.parking_port for s in services if s.parking_port]
    return FactsRequest(
        host=True,
        ops=True,
        units=(
            *(unit for server in site.servers for unit in (server.unit, server.distribution_unit)),
            site.seal_unit,
            DAEMON,
        ),
        user=site.app.user,
        user_units=tuple(service.unit for service in services),
        files=_files(site),
        trees=tuple(server.data for server in site.servers),
        accounts=tuple(dict.fromkeys(server.user for server in site.servers)),
        ports=(*ports, *site.private_ports.values()),
        project=site.runtimes.docker.project,
        compose=workloads.project(site),
        overlay=_overlay(site),
        projects=bool(site.runtimes.docker.foreign_projects),
        owner_file=site.app.owner_file,
        checkout=site.app.checkout,
        releases=workloads.releases(site),
        settings_file=workloads.settings_file(site),
        comparison=workloads.comparison(site, _planned(site, "native")),
        env_keys=site.app.any_text_is_true,
        environments=tuple(_planned(site, runtime) for runtime in RUNTIMES) if site.app.any_text_is_true else (),
        firewall=True,
        edge=edge_ref(site),
        workloads=tuple(w for runtime in RUNTIMES for w in workloads.everything(site, runtime)),
        programs=_programs(site) if versions else (),
        providers=_providers(site, planned=True) if versions else (),
        streams=streams_ref(site) if versions else None,
        redis_data=(site.infra.redis.data,),
        opened=tuple(server.data for server in site.servers) if versions else (),
        data=tuple(ref for runtime in RUNTIMES for ref in workloads.data(site, runtime)) if versions else (),
        kept=workloads.kept(site) if versions else (),
        exposed=unit_files(site) if versions else (),
        disks=(str(store.ROOT), site.app.data_root),
        needs=needs(site),
    )


def needs(site: Site) -> tuple[Need, ...]:
    """What native units cannot start without, besides what the app's settings have facts of their own for."""
    user, app = site.app.user, site.app
    native = site.runtimes.native
    result = [Need(app.bun, RUN, user), *(Need(p, READ, user) for p in (native.settings_file, native.overrides_file))]
    for service in site.scope("full"):
        for need in _of_service_in_checkout(site, service):  # where it runs from there; else what its release has
            result += [need, dataclasses.replace(need, path=files.released(site, service, need.path))]
    result += [Need(server.binary, RUN) for server in site.servers]
    result += [Need(path, READ) for path in (site.infra.redis.config, site.infra.clickhouse.config)]
    return tuple(dict.fromkeys(result))


def _of_service_in_checkout(site: Site, service: Service) -> list[Need]:
    ways = {site.app.installed: ENTER, service.directory: ENTER, service.built: READ}
    ways |= dict.fromkeys(workloads.sources(service), READ)
    return [Need(path, how, site.app.user) for path, how in ways.items() if path]


def health_of(group: tuple[Workload, ...], patience: float) -> FactsRequest:
    """Just the health of some workloads, waited for at most `patience` seconds."""
    return FactsRequest(workloads=group, patience=patience)


def streams(site: Site) -> FactsRequest:
    """The owner's streams, the environment that sets their limits, and the health of whom the durables belong to.

    The services' health is asked without their durables: whether these are bound is the question.
    """
    services = [w for runtime in RUNTIMES for w in workloads.of_services(site, runtime, site.scope("full"))]
    return FactsRequest(
        streams=dataclasses.replace(streams_ref(site), apart=_APART_SECONDS),
        environments=tuple(_as_it_is(site, runtime) for runtime in RUNTIMES),
        env_keys=tuple(
            dict.fromkeys(name for s in site.streams.values() for name in (s.max_age_env, s.max_bytes_env) if name)
        ),
        workloads=tuple(dataclasses.replace(workload, durables=()) for workload in services),
    )


def streams_ref(site: Site) -> StreamsRef:
    """Where the owner's JetStream is asked."""
    return StreamsRef(
        site.runtimes.docker.project,
        site.app.owner_file,
        nats={runtime: workloads.nats(site, runtime) for runtime in RUNTIMES},
        durables=tuple(name for service in site.scope("full") for name in service.durables),
    )


def releases(site: Site, ref: str = "") -> FactsRequest:
    """The app's releases, and who owns; with a `ref`, its commit."""
    return dataclasses.replace(_owner(site), releases=workloads.releases(site, ref))


def provider(site: Site) -> FactsRequest:
    """How the provider answers in each runtime, as it is installed, and who owns."""
    return dataclasses.replace(_owner(site), providers=_providers(site, planned=False))


def settings(site: Site) -> FactsRequest:
    """What each service gets from Compose and from systemd, with what plans will write."""
    return FactsRequest(
        compose=workloads.project(site),
        overlay=_overlay(site),
        settings_file=workloads.settings_file(site),
        comparison=workloads.comparison(site, _planned(site, "native")),
    )


def static(site: Site) -> FactsRequest:
    """What can be checked without starting anything. The units are verified as they would be installed."""
    units = unit_files(site)
    return FactsRequest(
        files=_files(site),
        compose=workloads.project(site),
        overlay=_overlay(site),
        edge=edge_ref(site),
        unit_files=units,
        exposed=units,
        scripts=site.app.scripts,
        user=site.app.user,
    )


def unit_files(site: Site) -> tuple[UnitFile, ...]:
    """All native units as they would be installed, each with the user whose manager runs it."""
    user = site.app.user
    units = [(file, "") for file in files.infra(site)] + [(file, user) for file in files.app(site, bind=EVERY_ADDRESS)]
    return tuple(
        UnitFile(PurePosixPath(file.path).name, file.content.decode(), user)
        for file, user in units
        if file.path.endswith(".service")
    )


def docker(site: Site) -> FactsRequest:
    """Everything the plans judge by, and what Compose would run."""
    return merge(request(site), FactsRequest(compose_view=True))


def firewall(site: Site, ports: tuple[int, ...] = ()) -> FactsRequest:
    """UFW, the edge's network, and what listens on `ports`."""
    return FactsRequest(firewall=True, ports=ports, edge=edge_ref(site))


def edge(site: Site, backups: str = "") -> FactsRequest:
    """The edge, and of its backups "all" or the one of that name."""
    return FactsRequest(edge=edge_ref(site), edge_backups=backups)


def edge_and_owner(site: Site) -> FactsRequest:
    """The edge, and what says who owns: where the edge must lead."""
    return dataclasses.replace(_owner(site), edge=edge_ref(site))


def _owner(site: Site) -> FactsRequest:
    return FactsRequest(owner_file=site.app.owner_file, project=site.runtimes.docker.project)


def edge_ref(site: Site) -> EdgeRef:
    """Where the edge is, and our two hostnames."""
    edge = site.edge
    domains = (edge.app_domain, edge.api_domain)
    return EdgeRef(edge.root, edge.database, edge.container, edge.network, domains, edge.api_port)


def address(facts: Facts, choice: str) -> str:
    """An address of the inventory, `bridge` as the gateway that the survey found; empty when unknown."""
    return facts.edge.network.gateway if choice == BRIDGE else choice


def owner(facts: Facts) -> Owner:
    """Who owns, by the rule in `owner_of`; empty when nobody does, or when the owner file says nothing known."""
    return "" if facts.owner_error else owner_of(facts.owner, facts.containers.values())


def edge_runtime(site: Site, facts: Facts) -> str:
    """Which runtime the edge sends the app's requests to, by the generated files; empty when neither.

    The pages, the API's prefixes on the app's own hostname, and the API's hostname, unless that is closed.
    """
    docker, edge, hosts = site.runtimes.docker, site.edge, facts.edge.hosts
    native = address(facts, site.runtimes.native.upstream)
    app: HostFact | None = hosts.get(edge.app_domain)
    raw: HostFact | None = hosts.get(edge.api_domain)
    to_api = [app.route_upstream] if app and set(app.routes).intersection(edge.api_prefixes) else []
    to_api += [raw.upstream if raw else None] if not (raw and raw.closed) else []
    for runtime, (web, api) in {"docker": (docker.web_host, docker.api_host), "native": (native, native)}.items():
        pairs = [(app.upstream if app else None, web, site.web.port)]
        pairs += [(place, api, site.api.port) for place in to_api]
        if all(place and (place.host, place.port) == (host, port) for place, host, port in pairs):
            return runtime
    return ""


def _files(site: Site) -> tuple[str, ...]:
    units = (*files.app(site, bind=EVERY_ADDRESS), *files.release_units(site, site.scope("full")))
    folders = (site.app.data_root, *(server.data for server in site.servers))
    snapshot = site.runtimes.docker.snapshot
    pairs = [(f"{snapshot}/{name}", f"{site.app.checkout}/{name}") for name in site.runtimes.docker.snapshot_files]
    return (
        *(file.path for file in (*files.infra(site), *units, *files.overlay(site))),
        *folders,
        *([site.backup.hook] if site.backup.hook else []),
        *(path for pair in pairs if snapshot for path in pair),
        site.infra.clickhouse.config,
        site.runtimes.docker.overlay_file,
    )


def _planned(site: Site, runtime: Runtime) -> Environment:
    """A runtime's environment as a plan that hands over to it will make it."""
    overrides = files.overrides(site, runtime, bind=EVERY_ADDRESS)
    return dataclasses.replace(_as_it_is(site, runtime), planned=overrides)


def _as_it_is(site: Site, runtime: Runtime) -> Environment:
    """A runtime's environment as it is, with what each unit's own settings add to it."""
    return workloads.of_units(site, workloads.environment(site, runtime))


def _of_service(site: Site, environment: Environment, name: str | None) -> Environment:
    """What one service gets; without a name, all of them."""
    if name is None:
        return environment
    units = (site.services[name].unit,) if environment.units else ()
    return dataclasses.replace(environment, services=(name,), units=units)


def _overlay(site: Site) -> str:
    """The overlay as a plan will write it."""
    return "".join(file.content.decode() for file in files.overlay(site))


def _providers(site: Site, *, planned: bool) -> tuple[ProviderRef, ...]:
    source = site.provider
    adapters = tuple(
        AdapterRef(a.name, a.url_env or "", dict(a.headers), a.path or "", a.url or "", a.unchecked or "")
        for a in source.adapters.values()
    )
    return tuple(
        ProviderRef(_of_service(site, environment, source.service), source.adapter_env, adapters)
        for runtime in RUNTIMES
        for environment in [_planned(site, runtime) if planned else _as_it_is(site, runtime)]
    )


def _programs(site: Site) -> tuple[Program, ...]:
    native = tuple(Program(f"native/{server.name}", (server.binary, *server.version_argv)) for server in site.servers)
    docker = tuple(Program(f"docker/{server.name}", server.image_version_argv, server.image) for server in site.servers)
    return native + docker


def merge(left: FactsRequest, right: FactsRequest) -> FactsRequest:
    """A request for the facts of both; where a field holds only one value, the right one's."""
    values: dict[str, Any] = {}
    for spec in dataclasses.fields(FactsRequest):
        first, second = getattr(left, spec.name), getattr(right, spec.name)
        if isinstance(first, tuple):
            values[spec.name] = first + tuple(item for item in second if item not in first)
        else:
            values[spec.name] = second or first
    return FactsRequest(**values)
