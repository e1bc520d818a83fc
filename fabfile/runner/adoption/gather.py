"""Reads from a whole VPS what an inventory would have to describe."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ..facts import compose
from ..facts.firewall import firewall
from ..system import docker, sockets, systemd
from ..system.inspected import Inspected
from ..system.machine import PATH, CommandFailed, Machine, StepFailed, failure_detail
from ..system.owner import read_owner
from ..system.paths import group_name, user_name
from ..wire.adoption import Adoption, AdoptionRequest, ContainerFound, Project
from ..wire.facts import Unit
from . import checkout, containers, edge, env_files, starts
from .streams import streams_of

Values = dict[str, str]

_PROGRAMS = ("{name}-server", "{name}")
_CONTAINER_FOLDERS = ("node_modules", ".git")


def adoption(machine: Machine, request: AdoptionRequest) -> Adoption:
    """What is on the VPS. What can't be read is empty or has a problem beside it; nothing is raised."""
    try:
        items = containers.inspect_all(machine)
        problem = ""
    except (CommandFailed, LookupError) as error:
        items, problem = [], f"Docker does not answer: {failure_detail(error)}"
    if kind := docker.unsupported(machine):
        items, problem = [], f"the VPS has {kind}"
    names = sorted({name for item in items for name in [containers.label(item, "project")] if name})
    with ThreadPoolExecutor(max_workers=6) as pool:
        projects = list(pool.map(lambda name: _project(machine, request, name, items), names))
    owner, owner_problem = _owner(request.owner_file)
    return Adoption(
        host=socket.gethostname(),
        docker_error=problem,
        projects={project.name: project for project in projects},
        edges=edge.edges(items),
        gateways=_gateways(machine, items),
        programs={name: program for name in request.servers for program in [_program(name)] if program},
        accounts={name: _account(name) for name in request.servers},
        units=_units(machine, request.units),
        listening=tuple(sockets.listening_ports(os.getpid())),
        owner=owner,
        owner_problem=owner_problem,
        firewall=_firewall(machine),
    )


def _project(machine: Machine, request: AdoptionRequest, name: str, items: list[Inspected]) -> Project:
    own = [item for item in items if containers.label(item, "project") == name]
    directory = containers.label(own[0], "project.working_dir")
    files = tuple(path for path in containers.label(own[0], "project.config_files").split(",") if path)
    root, problem = checkout.root_of(directory)
    compose_problem, environments = _compose(machine, name, directory, files)
    by_service = _by_service(request, own, root, tuple(environments))
    files_read = env_files.env_files(directory, files, str(root or ""), request.shown)
    services = [
        values for service, values in environments.items() if service in by_service and by_service[service].start
    ]
    native = next((file.path for file in reversed(files_read) if not file.problem), "")
    differing = env_files.differing(native, services) if native else ()
    return Project(
        name=name,
        directory=directory,
        files=files,
        problem=compose_problem,
        containers=by_service,
        work=checkout.work(machine, root, problem, request),
        env_files=files_read,
        differing=differing,
        in_file=env_files.in_file(differing, services, [file.path for file in files_read]),
        copies=_copies(directory, root),
        jetstream=streams_of(by_service, own),
    )


def _by_service(
    request: AdoptionRequest, items: list[Inspected], root: Path | None, started_services: tuple[str, ...]
) -> dict[str, ContainerFound]:
    """The containers by service; of several, a running one represents all."""
    by_service: dict[str, ContainerFound] = {}
    for item in sorted(items, key=lambda item: item["State"].get("Status") != "running"):
        container = containers.read(item, request.shown)
        known = by_service.get(container.service)
        if known:
            by_service[container.service] = replace(known, count=known.count + 1)
            continue
        server = container.service in request.servers or any(name in container.image for name in request.servers)
        start = None if server else starts.start(item["Config"], root)
        is_app = start is not None and not start.problem  # no request to a service that is not the app's
        answers = _http_answers(container) if is_app else {}
        profile = bool(started_services) and container.service not in started_services
        by_service[container.service] = replace(container, start=start, answers=answers, by_profile=profile)
    return by_service


def _http_answers(container: ContainerFound) -> dict[str, str]:
    """The HTTP answers of a service that publishes or exposes a port."""
    address = next((address for address in container.networks.values() if address), "")
    ports = containers.tcp_ports(container.published) or list(container.exposed)
    port = next((port for port in ports if port in container.listens), 0)
    return containers.http_answers(address, port) if address and port else {}


def _compose(machine: Machine, name: str, directory: str, files: tuple[str, ...]) -> tuple[str, dict[str, Values]]:
    """Compose's complaint about the project's files, empty when there is none.

    And the environment of each service that it would start, some of it secret.
    """
    argv = ["docker", "compose", "-p", name, *(word for file in files for word in ("-f", file))]
    argv += ["--project-directory", directory, "config", "--format", "json"]
    try:
        result = machine.run(argv, timeout=30, ok=None)
        return ("", compose.environments(compose.parse(result))) if result.code == 0 else (result.excerpt, {})
    except StepFailed as error:
        return failure_detail(error), {}


def _copies(directory: str, root: Path | None) -> dict[str, tuple[str, ...]]:
    """Folders beside the Compose file with copies of files in the checkout's root."""
    if root is None or Path(directory) == root:
        return {}
    copies: dict[str, tuple[str, ...]] = {}
    try:
        folders = [place for place in sorted(Path(directory).iterdir()) if place.is_dir()]
        for folder in folders:
            shared = tuple(sorted(entry.name for entry in folder.iterdir() if (root / entry.name).is_file()))
            if "package.json" in shared and folder.name not in _CONTAINER_FOLDERS:
                copies[folder.name] = shared
    except (OSError, ValueError):  # whatever Docker calls the directory
        return copies
    return copies


def _gateways(machine: Machine, items: list[Inspected]) -> dict[str, str]:
    names = sorted({name for item in items for name in item["NetworkSettings"].get("Networks") or {}})
    gateways: dict[str, str] = {}
    for name in names:
        try:
            gateways[name] = docker.network(machine, name).gateway
        except (CommandFailed, LookupError):
            continue  # `host`, `none` and IPv6 networks have none
    return gateways


def _program(name: str) -> str:
    paths = (shutil.which(program.format(name=name), path=PATH) for program in _PROGRAMS)
    return next((path for path in paths if path), "")


def _account(name: str) -> str:
    """The "user:group" of the server's package, which has the server's name; empty without such a user."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return ""
    return f"{user_name(entry.pw_uid)}:{group_name(entry.pw_gid)}"


def _units(machine: Machine, names: tuple[str, ...]) -> dict[str, Unit]:
    try:
        return {name: unit for name, unit in systemd.show(machine, names).items() if unit.load != "not-found"}
    except StepFailed:
        return {}


def _owner(file: str) -> tuple[str, str]:
    try:
        return (read_owner(Path(file)) if file else ""), ""
    except StepFailed as error:
        return "", str(error)


def _firewall(machine: Machine) -> str:
    """In words."""
    state = firewall(machine)
    if state.problem:
        return f"UFW does not answer: {state.problem}"
    if state.active:
        return f"UFW is active and would {state.default} what no rule names"
    words = "UFW is installed and not active" if state.installed else "UFW is not installed"
    return f"{words}; {state.other} filters" if state.other else words
