"""One look at a whole VPS: what is there that an inventory would have to say."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ..system import docker, sockets, systemd, ufw
from ..system.inspected import Inspected
from ..system.machine import PATH, CommandFailed, Machine, StepFailed, said
from ..system.owner import read_owner
from ..system.paths import group_name, user_name
from ..wire.adoption import Adoption, AdoptionRequest, Box, Project
from ..wire.facts import Unit
from . import checkout, containers, edge, env_files, starts
from .streams import streams_of

_PROGRAMS = ("{name}-server", "{name}")
_CONTAINER_FOLDERS = ("node_modules", ".git")


def adoption(machine: Machine, wanted: AdoptionRequest) -> Adoption:
    """What is on the VPS. What can't be told is left empty or has its reason beside it; nothing is raised."""
    try:
        items = containers.inspected(machine)
        problem = ""
    except (CommandFailed, LookupError) as error:
        items, problem = [], f"Docker does not answer: {said(error)}"
    names = sorted({name for item in items for name in [containers.label(item, "project")] if name})
    with ThreadPoolExecutor(max_workers=6) as pool:
        projects = list(pool.map(lambda name: _project(machine, wanted, name, items), names))
    owner, owner_problem = _owner(wanted.owner_file)
    return Adoption(
        host=socket.gethostname(),
        docker_error=problem,
        projects={project.name: project for project in projects},
        edges=edge.edges(items),
        gateways=_gateways(machine, items),
        programs={name: program for name in wanted.servers for program in [_program(name)] if program},
        accounts={name: _account(name) for name in wanted.servers},
        units=_units(machine, wanted.units),
        listening=tuple(sockets.listening_ports(os.getpid())),
        owner=owner,
        owner_problem=owner_problem,
        firewall=_firewall(machine),
    )


def _project(machine: Machine, wanted: AdoptionRequest, name: str, items: list[Inspected]) -> Project:
    own = [item for item in items if containers.label(item, "project") == name]
    directory = containers.label(own[0], "project.working_dir")
    files = tuple(path for path in containers.label(own[0], "project.config_files").split(",") if path)
    root, problem = checkout.root_of(directory)
    complaint, started = _compose(machine, name, directory, files)
    boxes = _boxes(wanted, own, root, started)
    found = env_files.env_files(directory, files, str(root or ""), wanted.shown)
    return Project(
        name=name,
        directory=directory,
        files=files,
        problem=complaint,
        boxes=boxes,
        work=checkout.work(machine, root, problem, wanted),
        env_files=found,
        differing=env_files.differing(found[0].path, found[-1].path) if len(found) > 1 else (),
        copies=_copies(directory, root),
        jetstream=streams_of(boxes, own),
    )


def _boxes(
    wanted: AdoptionRequest, items: list[Inspected], root: Path | None, started: tuple[str, ...]
) -> dict[str, Box]:
    """By service; of several containers the running one speaks for all."""
    found: dict[str, Box] = {}
    for item in sorted(items, key=lambda item: item["State"].get("Status") != "running"):
        here = containers.box(item, wanted.shown)
        before = found.get(here.service)
        if before:
            found[here.service] = replace(before, count=before.count + 1)
            continue
        server = here.service in wanted.servers or any(name in here.image for name in wanted.servers)
        start = None if server else starts.start(item["Config"], root)
        ours = start is not None and not start.problem  # nobody else's service is asked anything
        asked = _answers(here) if ours else {}
        profile = bool(started) and here.service not in started
        found[here.service] = replace(here, start=start, answers=asked, by_profile=profile)
    return found


def _answers(here: Box) -> dict[str, str]:
    """What a service that others are meant to reach says on its own paths."""
    address = next((address for address in here.networks.values() if address), "")
    ports = [int(key.partition("/")[0]) for key in here.published] or list(here.exposed)
    port = next((port for port in ports if port in here.listens), 0)
    return containers.asked(address, port) if address and port else {}


def _compose(machine: Machine, name: str, directory: str, files: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """What Compose says against the project's files, empty when it would run them; and the services it would start."""
    argv = ["docker", "compose", "-p", name, *(word for file in files for word in ("-f", file))]
    try:
        result = machine.run([*argv, "--project-directory", directory, "config", "--services"], timeout=30, ok=None)
    except StepFailed as error:
        return said(error), ()
    return ("", tuple(result.out.split())) if result.code == 0 else (result.said, ())


def _copies(directory: str, root: Path | None) -> dict[str, tuple[str, ...]]:
    """Folders beside the Compose file with copies of files that stand in the checkout's root."""
    if root is None or Path(directory) == root:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    try:
        folders = [place for place in sorted(Path(directory).iterdir()) if place.is_dir()]
        for folder in folders:
            same = tuple(sorted(entry.name for entry in folder.iterdir() if (root / entry.name).is_file()))
            if "package.json" in same and folder.name not in _CONTAINER_FOLDERS:
                found[folder.name] = same
    except OSError:
        return found
    return found


def _gateways(machine: Machine, items: list[Inspected]) -> dict[str, str]:
    names = sorted({name for item in items for name in item["NetworkSettings"].get("Networks") or {}})
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = docker.network(machine, name).gateway
        except (CommandFailed, LookupError):
            continue  # `host`, `none` and IPv6 networks have none
    return found


def _program(name: str) -> str:
    found = (shutil.which(program.format(name=name), path=PATH) for program in _PROGRAMS)
    return next((path for path in found if path), "")


def _account(name: str) -> str:
    """The package's user and group, which are called like the server."""
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
    try:
        active, default = ufw.status(machine)
    except CommandFailed as error:
        missing = isinstance(error.__cause__, FileNotFoundError)
        return "UFW is not installed" if missing else f"UFW does not answer: {said(error)}"
    return f"UFW is active and would {default} what no rule names" if active else "UFW is installed and not active"
