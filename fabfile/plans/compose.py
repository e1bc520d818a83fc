"""Whether the app's own Compose file can run what the inventory says, with the data that it says."""

from __future__ import annotations

from collections.abc import Iterator

from fabfile.inventory import Site
from fabfile.plans.findings import Finding
from fabfile.runner.composefacts import ComposeService
from fabfile.runner.facts import Facts


def findings(site: Site, facts: Facts, to: str) -> list[Finding]:
    """What stands against handing the app to `to`, as far as Docker's side goes: the way there, or the way back."""
    if facts.docker_error:
        return [Finding(facts.docker_error, "mend Docker, then try again")]
    if facts.compose_error:
        return [unreadable(site, facts)]
    return [*_missing(site, facts), *_data(site, facts), *_images(site, facts, to)]


def unreadable(site: Site, facts: Facts) -> Finding:
    """Compose's own words, and whose business it is to change what it complains of."""
    fix = f"mend it on the VPS: this tool never writes {site.runtimes.docker.file}. `inv docker.check` looks again"
    if site.runtimes.docker.overrides:
        fix += "; what it lays over that file is runtimes.docker.overrides"
    return Finding(f"Compose: {facts.compose_error}", fix)


def _missing(site: Site, facts: Facts) -> Iterator[Finding]:
    """Services that the inventory has and the Compose file has not."""
    wanted = {name: f"services.{name}" for name in site.services}
    wanted |= {server.name: f"infra.{server.name}" for server in site.servers}
    for name, key in wanted.items():
        if facts.compose and name not in facts.compose:
            there = ", ".join(sorted(facts.compose))
            yield Finding(
                f"{site.runtimes.docker.file} has no service {name} ({key}), only: {there}",
                f"correct {key} in the inventory, or runtimes.docker.file",
            )


def _data(site: Site, facts: Facts) -> Iterator[Finding]:
    """Docker's servers must hold the very folders that are handed over, and be the ones whose versions are compared."""
    for server in site.servers:
        found = facts.compose.get(server.name)
        if found is None:
            continue
        if server.data not in found.mounts.values():
            held = ", ".join(f"{source or 'a volume'} at {place}" for place, source in found.mounts.items())
            yield Finding(
                f"{server.name}'s data in Docker is not {server.data}: its service mounts {held or 'nothing'}",
                f"correct infra.{server.name}.data or app.data_root, or what the Compose file mounts: a hand-over "
                f"would leave the data behind",
            )
        if found.image != server.image:
            yield Finding(
                f"{server.name} in Docker is the image {found.image}, and the inventory says {server.image}",
                f'infra.{server.name}.image = "{found.image}"',
            )


def _images(site: Site, facts: Facts, to: str) -> Iterator[Finding]:
    """Nothing is fetched or built during a hand-over, so everything must be there before."""
    names = [*site.services, *(server.name for server in site.servers)]
    found = [facts.compose[name] for name in names if name in facts.compose]
    for image in dict.fromkeys(service.image for service in found if not service.there):
        of = [service for service in found if service.image == image]
        yield Finding(
            f"image {image} of {', '.join(service.name for service in of)} is not on the VPS"
            + ("" if to == "docker" else ": the way back would be refused"),
            _got(site, of),
            warning=to != "docker",
        )


def _got(site: Site, of: list[ComposeService]) -> str:
    """How an image comes onto the VPS."""
    docker = site.runtimes.docker
    names = " ".join(service.name for service in of)
    verb = "build" if any(service.built for service in of) else "pull"
    lacking = list(dict.fromkeys(path for service in of for path in service.lacking))
    need = f"; it also needs what is not there: {', '.join(lacking)}" if lacking else ""
    command = f"docker compose -p {docker.project} -f {docker.file} {verb} {names}"
    return f"on the VPS: cd {docker.directory} && {command}{need}"
