"""Reads a Compose project's containers and networks from Docker."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from ..wire.compose import Compose
from ..wire.edge import EdgeNetwork
from ..wire.facts import Container
from .inspected import Inspected
from .machine import CommandFailed, Machine, Result

_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_FILES = "com.docker.compose.project.config_files"
_STATE_FORMAT = f'{{{{.Label "{_SERVICE}"}}}}\t{{{{.Names}}}}\t{{{{.State}}}}'


def own_compose(ref: Compose) -> list[str]:
    """The first arguments of a Compose call on a project that reads nothing but the app's own file."""
    project = ["--project-name", ref.project, "--project-directory", ref.directory]
    return ["docker", "compose", *project, "--file", ref.file]


def compose(ref: Compose) -> list[str]:
    """The first arguments of every Compose call that acts on a project: our overlay over the app's own file.

    Until a plan has written the overlay there is none, and what runs was made without it.
    """
    overlay = ["--file", ref.overlay] if ref.overlay and os.path.exists(ref.overlay) else []
    return [*own_compose(ref), *overlay]


def containers(machine: Machine, project: str) -> dict[str, Container]:
    """The project's containers by service, stopped ones included; one-off containers left out.

    Raises CommandFailed when the Docker daemon does not answer.
    """
    converted = [_container(item) for item in _inspect(machine, project)]
    return {item.service: item for item in converted}


class ContainerState(NamedTuple):
    """A container's service, name and state (Docker's word for it)."""

    service: str
    name: str
    state: str


def list_containers(machine: Machine, project: str) -> list[ContainerState]:
    """The project's containers, stopped ones included, read by one call, which is fast: for when requests wait.

    Raises CommandFailed when the Docker daemon does not answer, or not as it should.
    """
    result = machine.run([*_list_command(project), "--format", _STATE_FORMAT], timeout=30)
    rows = [tuple(line.split("\t")) for line in result.out.splitlines() if line]
    if any(len(words) != len(ContainerState._fields) for words in rows):
        raise CommandFailed("docker ps printed lines of another format than it was called with", said=result.excerpt)
    return [ContainerState(*words) for words in rows]


def addresses(machine: Machine, project: str, services: Sequence[str]) -> set[str]:
    """The addresses of the services' running containers, on whichever networks. Raises CommandFailed."""
    items = [item for item in _inspect(machine, project) if _labels(item).get(_SERVICE) in services]
    joined = [network for item in items for network in (item["NetworkSettings"].get("Networks") or {}).values()]
    return {network["IPAddress"] for network in joined if network.get("IPAddress")}


def _inspect(machine: Machine, project: str) -> list[Inspected]:
    ids = machine.run([*_list_command(project), "-q", "--no-trunc"], timeout=30).out.split()
    if not ids:
        return []
    result = machine.run(["docker", "inspect", "--type", "container", *ids], timeout=30, ok=None)
    # A container may vanish between the two calls; the others are still listed. The daemon may vanish as well, and
    # then an empty list would be wrong.
    if result.code != 0 and "no such" not in result.err.lower():
        raise CommandFailed(f"docker inspect ended with {result.code}", said=result.excerpt)
    return cast("list[Inspected]", _json(result))


def projects(machine: Machine) -> dict[str, str]:
    """Every Compose project on the host, running or not: name → how many containers are in which state.

    As `docker compose ls -a` counts them, which takes several times as long. Raises CommandFailed.
    """
    argv = [
        "docker",
        "ps",
        "-a",
        "--filter",
        f"label={_PROJECT}",
        "--format",
        f'{{{{.Label "{_PROJECT}"}}}}\t{{{{.State}}}}',
    ]
    states: dict[str, list[str]] = {}
    for line in machine.run(argv, timeout=30).out.splitlines():
        name, _, state = line.partition("\t")
        states.setdefault(name, []).append(state)
    return {
        name: ", ".join(f"{state}({of_project.count(state)})" for state in sorted(set(of_project)))
        for name, of_project in states.items()
    }


def network(machine: Machine, name: str) -> EdgeNetwork:
    """Gateway and subnet of a Docker network (IPv4). Raises CommandFailed when there is none of that name."""
    result = machine.run(["docker", "network", "inspect", name], timeout=30)
    configs = _json(result)[0]["IPAM"]["Config"] or []
    usable = [c for c in configs if c.get("Gateway") and ":" not in c["Gateway"]]
    if len(usable) != 1:
        raise CommandFailed(f"network {name} has {len(usable)} IPv4 gateways, exactly one is needed")
    return EdgeNetwork(usable[0]["Gateway"], usable[0]["Subnet"])


def _list_command(project: str) -> list[str]:
    labels = (f"{_PROJECT}={project}", "com.docker.compose.oneoff=False")
    return ["docker", "ps", "-a", *(word for label in labels for word in ("--filter", f"label={label}"))]


def _json(result: Result) -> list[dict[str, Any]]:
    try:
        items: list[dict[str, Any]] = json.loads(result.out or "[]")
    except ValueError as error:
        raise CommandFailed(f"{' '.join(result.argv[:3])} answered no JSON: {error}", said=result.excerpt) from error
    return items


def _container(item: Inspected) -> Container:
    networks = item["NetworkSettings"].get("Networks") or {}
    addresses = [network["IPAddress"] for network in networks.values() if network.get("IPAddress")]
    state = item["State"]
    return Container(
        service=_labels(item).get(_SERVICE, ""),
        name=item["Name"].lstrip("/"),
        id=item["Id"],
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        restarts=item.get("RestartCount", 0),
        pid=state.get("Pid", 0),
        started=state.get("StartedAt", ""),
        image=item["Config"].get("Image", ""),
        address=addresses[0] if addresses else "",
        published=_published(item),
        policy=((item.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name") or "",
        files=tuple(file for file in _labels(item).get(_FILES, "").split(",") if file),
        mounts={mount["Destination"]: mount.get("Source", "") for mount in item.get("Mounts") or []},
    )


def _labels(item: Inspected) -> dict[str, str]:
    return item["Config"].get("Labels") or {}


def _published(item: Inspected) -> dict[str, str]:
    ports = item["NetworkSettings"].get("Ports") or {}
    return {port: f"{bindings[0]['HostIp']}:{bindings[0]['HostPort']}" for port, bindings in ports.items() if bindings}
