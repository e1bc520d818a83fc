"""Reads a Compose project's containers and networks from Docker."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Callable, NamedTuple, TypeVar

from ..wire import shape
from ..wire.app import Compose
from ..wire.edge import EdgeNetwork
from ..wire.facts import ALIVE, Container, Listener
from .inspected import Inspected, inspected
from .machine import CommandFailed, Machine, Result

_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_FILES = "com.docker.compose.project.config_files"
_PUBLISHED = re.compile(r"([\d.]+|\[[\da-f:]+\]|::):(\d+)(?:-(\d+))?->\d[\d-]*/tcp")
PROXIES = ("docker-proxy", "dockerd", "rootlesskit")  # who holds published ports, by the daemon's `userland-proxy`

T = TypeVar("T")

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

    Of several of one service one that runs comes first, and has the others as its siblings.
    Raises CommandFailed when the Docker daemon does not answer.
    """
    by_service: dict[str, list[Container]] = {}
    for item in _inspect(machine, project):
        container = _checked(_container, item)
        by_service.setdefault(container.service, []).append(container)
    return {service: _foremost(group) for service, group in by_service.items()}


def _foremost(group: list[Container]) -> Container:
    first, *others = sorted(group, key=lambda one: (not one.running, not one.alive, one.state == "created"))
    return replace(first, siblings=tuple(others))


class ContainerState(NamedTuple):
    """A container's service, name and state (Docker's word for it)."""

    service: str
    name: str
    state: str

    @property
    def alive(self) -> bool:
        """Whether it runs, or comes back by itself."""
        return self.state in ALIVE


def list_containers(machine: Machine, project: str) -> list[ContainerState]:
    """The project's containers, stopped ones included, read by one call, which is fast: for when requests wait.

    Raises CommandFailed when the Docker daemon does not answer, or not as it should.
    """
    result = machine.run([*_list_command(project), "--format", _STATE_FORMAT], timeout=30)
    rows = [tuple(line.split("\t")) for line in result.out.splitlines() if line]
    if any(len(words) != len(ContainerState._fields) for words in rows):
        raise CommandFailed("docker ps printed lines of another format than it was called with", said=result.excerpt)
    return [ContainerState(*words) for words in rows]


def images(machine: Machine, project: str) -> dict[str, str]:
    """The identifier of the image that each service's container is made of, by service: of several, of one that runs.

    Raises CommandFailed.
    """
    items = sorted(_inspect(machine, project), key=lambda item: (item.get("State") or {}).get("Status") in ALIVE)
    return {_checked(_labels, item).get(_SERVICE, ""): item.get("Image", "") for item in items}


def addresses(machine: Machine, project: str, services: Sequence[str]) -> set[str]:
    """The addresses of the services' running containers, on whichever networks. Raises CommandFailed."""
    own = [item for item in _inspect(machine, project) if _checked(_labels, item).get(_SERVICE) in services]
    return {address for item in own for address in _checked(_addresses, item)}


def _inspect(machine: Machine, project: str) -> list[Inspected]:
    ids = machine.run([*_list_command(project), "-q", "--no-trunc"], timeout=30).out.split()
    if not ids:
        return []
    result = machine.run(["docker", "inspect", "--type", "container", *ids], timeout=30, ok=None)
    # A container may vanish between the two calls; the others are still listed. The daemon may vanish as well, and
    # then an empty list would be wrong.
    if result.code != 0 and "no such" not in result.err.lower():
        raise CommandFailed(f"docker inspect ended with {result.code}", said=result.excerpt)
    try:
        return inspected(result.out)
    except ValueError as error:
        problem = f"docker inspect describes a container as Docker does not: {error}"
        raise CommandFailed(problem, said=problem) from error


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
    """Gateway and subnet of a Docker network (IPv4). Raises CommandFailed when it has not exactly one of each."""
    result = machine.run(["docker", "network", "inspect", name], timeout=30)
    try:
        (item,) = _json(result)
        configs = [config for config in item["IPAM"]["Config"] or [] if config]
        subnets = [ipaddress.ip_network(config["Subnet"], strict=False) for config in configs]
        gateways = [str(config.get("Gateway") or "").partition("/")[0] for config in configs]
        pairs = [(gateway, str(subnet)) for gateway, subnet in zip(gateways, subnets) if subnet.version == 4]
        for gateway in (gateway for gateway, _ in pairs if gateway):
            ipaddress.IPv4Address(gateway)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        problem = f"docker network inspect {name} describes no network as Docker does"
        raise CommandFailed(problem, said=problem) from error
    if len(pairs) != 1:
        others = ", ".join(map(str, subnets)) or "none at all"
        raise CommandFailed(
            f"network {name} has {len(pairs)} IPv4 subnets, exactly one is needed; its subnets: {others}"
        )
    ((gateway, subnet),) = pairs
    gateway = gateway or _bridge_address(machine, item, subnet)
    if not gateway:
        raise CommandFailed(f"network {name} ({subnet}) has no gateway, neither by Docker nor as its bridge's address")
    return EdgeNetwork(gateway, subnet)


def _bridge_address(machine: Machine, item: dict[str, Any], subnet: str) -> str:
    """The address of a network's bridge within its subnet: Docker names no gateway that it chose by itself."""
    options = item.get("Options")
    chosen = options.get("com.docker.network.bridge.name") if isinstance(options, dict) else ""
    bridge = str(chosen or f"br-{str(item.get('Id'))[:12]}")
    listing = machine.run(["ip", "-4", "-o", "addr", "show", "dev", bridge], timeout=15, ok=None).out
    addresses = re.findall(r"\binet (\d+\.\d+\.\d+\.\d+)/", listing)
    return next((one for one in addresses if ipaddress.ip_address(one) in ipaddress.ip_network(subnet)), "")


def publishers(machine: Machine) -> dict[tuple[str, int], str]:
    """Who publishes TCP ports: address and port of the host → name of the container. Raises CommandFailed."""
    names: dict[tuple[str, int], str] = {}
    for line in machine.run(["docker", "ps", "--format", "{{.Names}}\t{{.Ports}}"], timeout=30).out.splitlines():
        name, _, ports = line.partition("\t")
        for address, first, last in _PUBLISHED.findall(ports):
            for port in range(int(first), int(last or first) + 1):
                names[(address.strip("[]"), port)] = name
    return names


def with_containers(machine: Machine, listeners: Sequence[Listener]) -> tuple[Listener, ...]:
    """The listeners, with the container whose port it is where Docker's own process holds it."""
    if not any(item.command in PROXIES for item in listeners):
        return tuple(listeners)
    try:
        names = publishers(machine)
    except CommandFailed:
        return tuple(listeners)
    return tuple(
        replace(item, container=names.get((item.address, item.port), "")) if item.command in PROXIES else item
        for item in listeners
    )


def unsupported(machine: Machine) -> str:
    """What makes the `docker` of the VPS another one than a daemon of root's on this host; empty when it is that one.

    Also empty where it does not answer, which every other call reports.
    """
    try:
        info = machine.run(["docker", "info", "--format", "{{json .}}"], timeout=30)
        facts = shape.parse(info.out)
        root, security = str(facts.get("DockerRootDir") or ""), str(facts.get("SecurityOptions"))
        if "podman" in info.err.lower() or ("host" in facts and "store" in facts):
            return "podman's docker command: its containers have no daemon that could be stopped or started again"
        if root.startswith("/var/snap/"):
            return f"Docker from snap ({root}): it is confined, and its unit is none of docker.service"
        if "rootless" in security:
            return f"rootless Docker ({root}): its containers' users are others than the data's"
        if "name=userns" in security:
            return f"Docker with userns-remap ({root}): its containers' users are others than the data's"
        endpoint = machine.run(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], timeout=30)
    except (CommandFailed, ValueError, AttributeError):
        return ""
    address = endpoint.out.strip()
    if not address or address.startswith("unix://"):
        return ""
    return f"a remote Docker ({address}, by DOCKER_HOST or `docker context`): its containers run on another machine"


def _list_command(project: str) -> list[str]:
    labels = (f"{_PROJECT}={project}", "com.docker.compose.oneoff=False")
    return ["docker", "ps", "-a", *(word for label in labels for word in ("--filter", f"label={label}"))]


def _json(result: Result) -> list[dict[str, Any]]:
    try:
        items: list[dict[str, Any]] = shape.parse(result.out or "[]")
    except ValueError as error:
        raise CommandFailed(f"{' '.join(result.argv[:3])} answered no JSON: {error}", said=result.excerpt) from error
    if not isinstance(items, list):
        raise CommandFailed(f"{' '.join(result.argv[:3])} answered no list", said=result.excerpt)
    return items


def _checked(read: Callable[[Inspected], T], item: Inspected) -> T:
    """What `read` makes of a container. Raises CommandFailed where it is not described as Docker does."""
    try:
        return read(item)
    except (LookupError, TypeError, AttributeError) as error:
        raise CommandFailed(f"docker inspect describes a container as Docker does not: {error!r}") from error


def _addresses(item: Inspected) -> list[str]:
    networks = item["NetworkSettings"].get("Networks") or {}
    return [network["IPAddress"] for network in networks.values() if network and network.get("IPAddress")]


def _container(item: Inspected) -> Container:
    addresses = _addresses(item)
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
        reached=_reached(item),
    )


def _reached(item: Inspected) -> tuple[str, ...]:
    """The names and addresses by which other containers reach one."""
    names = [item["Name"].lstrip("/")]
    for network in filter(None, (item["NetworkSettings"].get("Networks") or {}).values()):
        names += [*(network.get("Aliases") or ()), *(network.get("DNSNames") or ()), network.get("IPAddress") or ""]
    return tuple(dict.fromkeys(name for name in names if name))


def _labels(item: Inspected) -> dict[str, str]:
    return item["Config"].get("Labels") or {}


def _published(item: Inspected) -> dict[str, str]:
    ports = item["NetworkSettings"].get("Ports") or {}
    return {port: f"{bindings[0]['HostIp']}:{bindings[0]['HostPort']}" for port, bindings in ports.items() if bindings}
