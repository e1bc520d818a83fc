"""Reads which commits Docker has images of, by their tags, and which of them each service's container is made of."""

from __future__ import annotations

from ..system import docker
from ..system.machine import CommandFailed, Machine
from ..wire.release import ReleasesRef

_FORMAT = "{{.ID}}\t{{.Repository}}\t{{.Tag}}"


def tagged(machine: Machine, ref: ReleasesRef) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Return service → commits that it has an image of, and service → the commit of its container's image.

    Both are empty where Docker does not answer, which other facts say.
    """
    if not ref.project:
        return {}, {}
    argv = ["docker", "images", "--no-trunc", "--filter", f"reference={ref.repository('*')}", "--format", _FORMAT]
    try:
        rows = [line.split("\t") for line in machine.run(argv, timeout=30).out.splitlines()]
        containers = docker.images(machine, ref.project) if rows else {}
    except CommandFailed:
        return {}, {}
    names = {ref.repository(service): service for service in ref.services}
    known = [(row[0], names[row[1]], row[2]) for row in rows if len(row) == 3 and row[1] in names]
    images = {name: tuple(sorted(tag for _, service, tag in known if service == name)) for _, name, _ in known}
    return images, {name: tag for image, name, tag in known if containers.get(name) == image}
