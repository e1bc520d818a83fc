"""Whether the app's own Compose file can run what the inventory says, with the data that it says."""

from __future__ import annotations

from collections.abc import Iterator

from fabfile.checks.result import Finding
from fabfile.inventory import Site
from fabfile.runner.facts.compose import NO_PLUGIN
from fabfile.runner.wire.app import ComposeService
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime


def findings(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """What stands against handing the app to `to`, as far as Docker's side goes: the way there, or the way back."""
    unsupported = _unsupported(facts)
    if facts.docker_error:
        return [*unsupported, Finding(facts.docker_error, "fix Docker, then try again")]
    if facts.compose_error:
        return [*unsupported, unreadable(site, facts)]
    result = [*unsupported, *_absent(site, facts), *_data(site, facts), *_images(site, facts, to)]
    return result + ([*_containers(site, facts)] if to == "native" else [])


def _unsupported(facts: Facts) -> list[Finding]:
    if not facts.docker_unsupported:
        return []
    fix = (
        "have Docker's own packages (docker-ce, or docker.io) run the app as root, without userns-remap, under its own "
        "Compose file"
    )
    return [Finding(f"the VPS has {facts.docker_unsupported}", fix)]


def unreadable(site: Site, facts: Facts) -> Finding:
    """Compose's own words, and whose business it is to change what it complains of."""
    docker = site.runtimes.docker
    if facts.compose_error == NO_PLUGIN:
        return Finding(
            NO_PLUGIN, "on the VPS: apt-get install docker-compose-plugin (Docker's own packages' name for it)"
        )
    laid = ", or runtimes.docker.overrides, which is laid over it" if docker.overrides else ""
    return Finding(
        f"Compose: {facts.compose_error}",
        f"this tool never writes {docker.file}: fix it on the VPS, or correct runtimes.docker.file{laid}; "
        f"`inv docker.check` looks again",
    )


def _absent(site: Site, facts: Facts) -> Iterator[Finding]:
    """Services that the inventory has and the Compose file has not."""
    keys = {name: f"services.{name}" for name in site.services}
    keys |= {server.name: f"infra.{server.name}" for server in site.servers}
    for name, key in keys.items():
        if facts.compose and name not in facts.compose:
            there = ", ".join(sorted(facts.compose))
            yield Finding(
                f"{site.runtimes.docker.file} has no service {name} ({key}), only: {there}",
                f"correct {key} in the inventory, or runtimes.docker.file",
            )


def _data(site: Site, facts: Facts) -> Iterator[Finding]:
    """Docker's servers must hold the very folders that are handed over, and be the ones whose versions are compared."""
    for server in site.servers:
        service = facts.compose.get(server.name)
        if service is None:
            continue
        if server.data not in map(_plain, service.mounts.values()):
            mounts = ", ".join(f"{source or 'a volume'} at {place}" for place, source in service.mounts.items())
            yield Finding(
                f"{server.name}'s data in Docker is not {server.data}: its service mounts {mounts or 'nothing'}",
                f"correct infra.{server.name}.data or app.data_root, or what the Compose file mounts: a hand-over "
                f"would leave the data behind",
            )
        if service.image != server.image:
            yield Finding(
                f"{server.name} in Docker is the image {service.image}, and the inventory says {server.image}",
                f'infra.{server.name}.image = "{service.image}"',
            )


def unknown_containers(site: Site, facts: Facts) -> Iterator[Finding]:
    """What runs in the project and would be neither stopped nor started."""
    known = {*site.services, *(server.name for server in site.servers)}
    for container in facts.all_containers:
        if container.alive and container.service not in known:
            yield Finding(
                f"the container {container.name} runs in the project, and the inventory has no service "
                f"{container.service}: a hand-over would leave it running",
                f"on the VPS: docker stop {container.name}; or describe it in services.{container.service}",
            )


def beside_native(site: Site, facts: Facts) -> Iterator[Finding]:
    """Containers that run although native owns: both open the same data, unless it is sealed."""
    known = {*site.services, *(server.name for server in site.servers)}
    alive = sorted(
        container.name for container in facts.all_containers if container.alive and container.service in known
    )
    if alive and facts.owner == "native":
        sealed = "the data is sealed: what was started since can't write to it"
        harm = sealed if _sealed(site, facts) else "both have the data open"
        yield Finding(f"native owns, and these containers run: {', '.join(alive)}; {harm}", "inv docker.stop")


def unsealed(site: Site, facts: Facts) -> Iterator[Finding]:
    """Native servers whose data a container could open beside them: they run since before their units knew the seal."""
    running = [server.name for server in site.servers if (unit := facts.unit(server.unit)) and unit.running]
    if facts.owner == "native" and running and not _sealed(site, facts):
        yield Finding(
            f"native owns, and the data of {', '.join(running)} is not sealed: a container could write to it as well",
            f"on the VPS: sudo systemctl restart {site.seal_unit}, which restarts the three servers",
        )


def _sealed(site: Site, facts: Facts) -> bool:
    unit = facts.unit(site.seal_unit)
    return unit is not None and unit.up


def _containers(site: Site, facts: Facts) -> Iterator[Finding]:
    """What runs there and is not the inventory's, or holds other data than is handed over."""
    yield from unknown_containers(site, facts)
    for server in site.servers:
        alive = [
            container for container in facts.all_containers if container.service == server.name and container.alive
        ]
        if len(alive) > 1:
            names = " and ".join(sorted(container.name for container in alive))
            yield Finding(
                f"{server.name} has {len(alive)} containers that run, {names}: they write to one directory",
                "find out which one the app uses, and on the VPS: docker rm -f the other",
            )
        for container in alive:
            if server.data not in map(_plain, container.mounts.values()):
                places = ", ".join(container.mounts.values()) or "nothing of the VPS"
                yield Finding(
                    f"{server.name}'s container does not hold its data in {server.data}, but in {places}",
                    f"correct infra.{server.name}.data or app.data_root: a hand-over would leave the data behind",
                )
    yield from _other_files(site, facts)


def _other_files(site: Site, facts: Facts) -> Iterator[Finding]:
    docker = site.runtimes.docker
    known = {docker.file, docker.overlay_file}
    others = {
        file for container in facts.all_containers if container.service in facts.compose for file in container.files
    } - known
    if others:
        yield Finding(
            f"containers of the project were made from {', '.join(sorted(others))} as well, which this tool does not "
            f"read: the next rollback makes them anew by {docker.file} alone",
            "put what it says into that file or into runtimes.docker.overrides, or correct runtimes.docker.file",
            warning=True,
        )


def _plain(path: str) -> str:
    return path.rstrip("/")


def _images(site: Site, facts: Facts, to: Runtime) -> Iterator[Finding]:
    """Nothing is fetched or built during a hand-over, so everything must be there before."""
    names = [*site.services, *(server.name for server in site.servers)]
    services = [facts.compose[name] for name in names if name in facts.compose]
    for image in dict.fromkeys(service.image for service in services if not service.there):
        users = [service for service in services if service.image == image]
        yield Finding(
            f"image {image} of {', '.join(service.name for service in users)} is not on the VPS"
            + ("" if to == "docker" else ": the way back would be refused"),
            _how_to_get(site, users),
            warning=to != "docker",
        )


def _how_to_get(site: Site, services: list[ComposeService]) -> str:
    """How an image comes onto the VPS."""
    docker = site.runtimes.docker
    names = " ".join(service.name for service in services)
    verb = "build" if any(service.built for service in services) else "pull"
    lacking = list(dict.fromkeys(path for service in services for path in service.lacking))
    need = f"; it also needs what is not there: {', '.join(lacking)}" if lacking else ""
    command = f"docker compose -p {docker.project} -f {docker.file} {verb} {names}"
    return f"on the VPS: cd {docker.directory} && {command}{need}"
