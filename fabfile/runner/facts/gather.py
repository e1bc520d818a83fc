"""Gathers the wanted facts, side by side: what takes longest is waiting for other programs."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

from ..store import stored
from ..system import docker, git, owner, paths, sockets, systemd, ufw
from ..system.envfile import read_env
from ..system.machine import CommandFailed, Machine, StepFailed, said
from ..wire.facts import EnvFile, Facts, FactsRequest, HostInfo
from ..wire.firewall import Firewall
from . import compose, compose_view, environment, health, needs, provider, scripts, versions
from .data import holding
from .data.openers import openers
from .nats import jetstream

Found = dict[str, Any]  # fields of Facts


def gather(machine: Machine, wanted: FactsRequest) -> Facts:
    """The facts that `wanted` asks for. What cannot be read is told in the facts, not raised."""
    jobs = [job for needed, job in _JOBS if needed(wanted)]
    if not jobs:
        return Facts()
    found: Found = {}
    # All at once: each mostly waits for a program, and none may wait for a free thread first.
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        for part in pool.map(lambda job: job(machine, wanted), jobs):
            found.update({**part, "health": {**found.get("health", {}), **part.get("health", {})}})  # from several
    return Facts(**found)


def _host(machine: Machine, wanted: FactsRequest) -> Found:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    name, python, kernel = socket.gethostname(), platform.python_version(), platform.release()
    return {"host": HostInfo(name, python, kernel, os.geteuid(), boot, time.time())}


def _units(machine: Machine, wanted: FactsRequest) -> Found:
    return {"units": systemd.show(machine, wanted.units)}


def _user_units(machine: Machine, wanted: FactsRequest) -> Found:
    if not wanted.user_units:
        return {}
    try:
        problem = systemd.manager_error(machine, wanted.user)
        if problem:
            return {"user_manager": problem}
        return {"user_units": systemd.show(machine, wanted.user_units, wanted.user)}
    except StepFailed as error:
        return {"user_manager": said(error)}


def _files(machine: Machine, wanted: FactsRequest) -> Found:
    return {"files": {path: paths.file_fact(path) for path in wanted.files}}


def _trees(machine: Machine, wanted: FactsRequest) -> Found:
    return {"trees": {path: paths.tree(machine, path) for path in wanted.trees}}


def _accounts(machine: Machine, wanted: FactsRequest) -> Found:
    return {"accounts": {name: paths.account(name) for name in wanted.accounts}}


def _ports(machine: Machine, wanted: FactsRequest) -> Found:
    return {"listeners": sockets.listeners(wanted.ports)}


def _programs(machine: Machine, wanted: FactsRequest) -> Found:
    found, errors = versions.ask_all(machine, wanted.programs)
    return {"versions": found, "version_errors": errors}


def _containers(machine: Machine, wanted: FactsRequest) -> Found:
    """The project's containers, and the health of what runs in them: they are read once for both."""
    try:
        containers = docker.containers(machine, wanted.project)
    except CommandFailed as error:
        return {"docker_error": f"Docker does not answer: {said(error)}"}
    if not _in_one_look(wanted):
        return {"containers": containers}
    some = [w for w in wanted.workloads if w.runtime == "docker"]
    try:
        return {
            "containers": containers,
            "health": health.healthy_now(machine, some, {wanted.project: containers}) if some else {},
        }
    except StepFailed:
        return {"containers": containers}  # Docker has ceased to answer


def _compose(machine: Machine, wanted: FactsRequest) -> Found:
    assert wanted.compose is not None
    if not Path(wanted.compose.file).exists():
        return {"compose_error": f"there is no Compose file at {wanted.compose.file}"}
    try:
        config = compose.planned(machine, wanted.compose, wanted.overlay)
        return {"compose": compose.services(machine, config)}
    except CommandFailed as error:
        return {"compose_error": said(error)}


def _compose_view(machine: Machine, wanted: FactsRequest) -> Found:
    assert wanted.compose is not None
    return {"compose_view": compose_view.view(machine, wanted.compose, wanted.overlay)}


def _projects(machine: Machine, wanted: FactsRequest) -> Found:
    try:
        return {"projects": docker.projects(machine)}
    except CommandFailed:
        return {}  # `_containers` tells that Docker does not answer


def _owner(machine: Machine, wanted: FactsRequest) -> Found:
    try:
        return {"owner": owner.read_owner(Path(wanted.owner_file))}
    except StepFailed as error:
        return {"owner_error": str(error)}


def _env(machine: Machine, wanted: FactsRequest) -> Found:
    """Only the named keys leave the VPS: the rest of an env file may be secret."""
    try:
        values = read_env(Path(wanted.env_file))
    except (OSError, ValueError) as error:
        return {"env": EnvFile(problem=f"{wanted.env_file}: {error}")}
    named = {key: values[key] for key in wanted.env_keys if key in values}
    return {"env": EnvFile(named, denied=_denied(machine, wanted) if wanted.user else "")}


def _denied(machine: Machine, wanted: FactsRequest) -> str:
    """Natively the file is read by the app's user, not by root; that user is asked, as folders count as well."""
    try:
        asked = machine.run(["test", "-r", wanted.env_file], user=wanted.user, timeout=10, ok=None)
    except CommandFailed as error:
        return said(error)
    return "" if asked.code == 0 else f"{wanted.user} cannot read {wanted.env_file}"


def _settings(machine: Machine, wanted: FactsRequest) -> Found:
    return {"settings": {e.runtime: environment.settings(e, wanted.env_keys) for e in wanted.environments}}


def _streams(machine: Machine, wanted: FactsRequest) -> Found:
    assert wanted.streams is not None
    return {"jetstream": jetstream.jetstream(machine, wanted.streams)}


def _providers(machine: Machine, wanted: FactsRequest) -> Found:
    return {"providers": {ref.environment.runtime: provider.provided(ref) for ref in wanted.providers}}


def _static(machine: Machine, wanted: FactsRequest) -> Found:
    return {
        "unit_errors": scripts.unit_errors(machine, wanted.unit_files),
        "script_errors": scripts.script_errors(machine, wanted.scripts, wanted.user),
    }


def _firewall(machine: Machine, wanted: FactsRequest) -> Found:
    try:
        active, default = ufw.status(machine)
        return {"firewall": Firewall(True, active, default, ufw.rules(machine))}
    except CommandFailed as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return {}  # not installed: nothing of it filters, and the plan has no rule to add
        return {"firewall": Firewall(True, problem=said(error))}


def _edge(machine: Machine, wanted: FactsRequest) -> Found:
    from ..edge.facts import edge_facts  # the edge's module needs this one's caller

    assert wanted.edge is not None
    return {"edge": edge_facts(machine, wanted.edge)}


def _edge_backups(machine: Machine, wanted: FactsRequest) -> Found:
    from ..edge import backup  # which knows the edge's database, as `edge` does

    assert wanted.edge is not None
    if wanted.edge_backups == "all":
        return {"edge_backups": tuple(backup.read_all(machine.ops))}
    try:
        return {"edge_backups": tuple(backup.find(machine.ops, wanted.edge.database, wanted.edge_backups))}
    except StepFailed:
        return {}  # the database cannot be read, which `_edge` tells


def _native_health(machine: Machine, wanted: FactsRequest) -> Found:
    return _health(machine, wanted, "native")


def _docker_health(machine: Machine, wanted: FactsRequest) -> Found:
    return _health(machine, wanted, "docker")


def _health(machine: Machine, wanted: FactsRequest, runtime: str) -> Found:
    some = [w for w in wanted.workloads if w.runtime == runtime]
    try:
        return {"health": health.wait_until_healthy(machine, some, wanted.patience) if some else {}}
    except StepFailed:
        return {}  # the user manager or Docker does not answer, which has a fact of its own


def _in_one_look(wanted: FactsRequest) -> bool:
    """Whether the containers that the survey brings also say how healthy they are; what is waited for changes."""
    return bool(wanted.project) and not wanted.patience


def _checkout(machine: Machine, wanted: FactsRequest) -> Found:
    try:
        return {"checkout": git.checkout(machine, wanted.checkout, wanted.user)}
    except StepFailed as error:
        return {"checkout_error": said(error)}


def _redis(machine: Machine, wanted: FactsRequest) -> Found:
    return {"redis_formats": {path: versions.rdb_format(Path(path)) for path in wanted.redis_data}}


def _data(machine: Machine, wanted: FactsRequest) -> Found:
    return {"data": holding.holdings(machine, wanted.data)}


def _openers(machine: Machine, wanted: FactsRequest) -> Found:
    return {"openers": openers(wanted.opened)}


def _disks(machine: Machine, wanted: FactsRequest) -> Found:
    """Folders on one file system share its space: only the first of them is told."""
    found: dict[int, tuple[str, int]] = {}
    for folder in wanted.disks:
        there = paths.nearest(folder)
        found.setdefault(os.stat(there).st_dev, (folder, shutil.disk_usage(there).free))
    return {"disks": dict(found.values())}


def _ops(machine: Machine, wanted: FactsRequest) -> Found:
    return {"ops": stored(machine.ops)}


def _needs(machine: Machine, wanted: FactsRequest) -> Found:
    return {"lacking": needs.lacking(machine, wanted.needs)}


_JOBS: list[tuple[Callable[[FactsRequest], object], Callable[[Machine, FactsRequest], Mapping[str, Any]]]] = [
    # What takes longest begins first.
    (lambda w: w.programs, _programs),
    (lambda w: w.compose, _compose),
    (lambda w: w.firewall, _firewall),
    (lambda w: w.edge, _edge),
    (lambda w: w.workloads, _native_health),
    (lambda w: w.workloads and not _in_one_look(w), _docker_health),
    (lambda w: w.project, _containers),
    (lambda w: w.host, _host),
    (lambda w: w.units, _units),
    (lambda w: w.user, _user_units),
    (lambda w: w.files, _files),
    (lambda w: w.trees, _trees),
    (lambda w: w.accounts, _accounts),
    (lambda w: w.ports, _ports),
    (lambda w: w.compose and w.compose_view, _compose_view),
    (lambda w: w.projects, _projects),
    (lambda w: w.owner_file, _owner),
    (lambda w: w.env_file, _env),
    (lambda w: w.environments, _settings),
    (lambda w: w.streams, _streams),
    (lambda w: w.providers, _providers),
    (lambda w: w.unit_files or w.scripts, _static),
    (lambda w: w.edge and w.edge_backups, _edge_backups),
    (lambda w: w.checkout, _checkout),
    (lambda w: w.redis_data, _redis),
    (lambda w: w.data, _data),
    (lambda w: w.opened, _openers),
    (lambda w: w.disks, _disks),
    (lambda w: w.ops, _ops),
    (lambda w: w.needs, _needs),
]
