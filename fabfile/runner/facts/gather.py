"""Gathers the requested facts side by side: most of the time is spent waiting for other programs."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

from ..releases import reading
from ..store import read_state
from ..system import docker, git, owner, paths, sockets, systemd
from ..system.machine import CommandFailed, Machine, StepFailed, failure_detail
from ..wire.facts import Facts, FactsRequest, HostInfo
from . import compose, compose_view, environment, firewall, health, provider, scripts, settings
from .data import holding
from .data.keeping import unkept
from .data.openers import mounts_below, openers
from .nats import jetstream
from .one_look import OneLook
from .programs import needs, versions
from .usage import disk, memory

Fields = dict[str, Any]  # fields of Facts


def gather(machine: Machine, request: FactsRequest) -> Facts:
    """The requested facts. What cannot be read is a problem in the facts; nothing is raised."""
    jobs = [job for needed, job in _JOBS if needed(request)]
    fields: Fields = {}
    machine = machine if request.patience else OneLook(machine)
    # All at once: each mostly waits for a program, and none may wait for a free thread first.
    with ThreadPoolExecutor(max_workers=len(jobs) or 1) as pool:
        for part in pool.map(lambda job: job(machine, request), jobs):
            fields.update({**part, "health": {**fields.get("health", {}), **part.get("health", {})}})  # from several
    if request.memory:  # of the processes that the health is of
        fields["memory"] = memory.of_workloads(fields.get("health", {}))
    return Facts(**fields)


def _host(machine: Machine, request: FactsRequest) -> Fields:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    name, python, kernel = socket.gethostname(), platform.python_version(), platform.release()
    return {"host": HostInfo(name, python, kernel, os.geteuid(), boot, time.time(), time.localtime().tm_gmtoff)}


def _units(machine: Machine, request: FactsRequest) -> Fields:
    return {"units": systemd.show(machine, request.units)}


def _user_units(machine: Machine, request: FactsRequest) -> Fields:
    if not request.user_units:
        return {}
    try:
        if problem := systemd.manager_error(machine, request.user):
            return {"user_manager": problem}
        return {"user_units": systemd.show(machine, request.user_units, request.user)}
    except StepFailed as error:
        return {"user_manager": failure_detail(error)}


def _files(machine: Machine, request: FactsRequest) -> Fields:
    return {"files": {path: paths.file_fact(path) for path in request.files}}


def _trees(machine: Machine, request: FactsRequest) -> Fields:
    return {"trees": {path: paths.tree(machine, path) for path in request.trees}}


def _accounts(machine: Machine, request: FactsRequest) -> Fields:
    return {"accounts": {name: paths.account(name) for name in request.accounts}}


def _ports(machine: Machine, request: FactsRequest) -> Fields:
    return {"listeners": docker.with_containers(machine, sockets.listeners(request.ports))}


def _docker_kind(machine: Machine, request: FactsRequest) -> Fields:
    return {"docker_unsupported": docker.unsupported(machine)}


def _programs(machine: Machine, request: FactsRequest) -> Fields:
    numbers, errors = versions.read_versions(machine, request.programs)
    return {"versions": numbers, "version_errors": errors}


def _containers(machine: Machine, request: FactsRequest) -> Fields:
    """The project's containers, and the health of what runs in them: they are read once for both."""
    try:
        containers = docker.containers(machine, request.project)
    except CommandFailed as error:
        return {"docker_error": f"Docker does not answer: {failure_detail(error)}"}
    if not _health_with_containers(request):
        return {"containers": containers}
    workloads = [w for w in request.workloads if w.runtime == "docker"]
    try:
        return {
            "containers": containers,
            "health": health.healthy_now(machine, workloads, {request.project: containers}) if workloads else {},
        }
    except StepFailed:
        return {"containers": containers}  # Docker has ceased to answer


def _compose(machine: Machine, request: FactsRequest) -> Fields:
    assert request.compose is not None
    if not Path(request.compose.file).exists():
        return {"compose_error": f"there is no Compose file at {request.compose.file}"}
    try:
        config = compose.planned(machine, request.compose, request.overlay)
        with ThreadPoolExecutor(max_workers=1) as pool:
            found = pool.submit(compose.services, machine, config)
            fields: Fields = {}
            if request.comparison:
                fields["differences"] = settings.differences(machine, request.comparison, config, request.compose)
            return {**fields, "compose": found.result()}
    except CommandFailed as error:
        return {"compose_error": failure_detail(error)}


def _compose_view(machine: Machine, request: FactsRequest) -> Fields:
    assert request.compose is not None
    return {"compose_view": compose_view.view(machine, request.compose, request.overlay)}


def _projects(machine: Machine, request: FactsRequest) -> Fields:
    try:
        return {"projects": docker.projects(machine)}
    except CommandFailed:
        return {}  # `_containers` reports that Docker does not answer


def _owner(machine: Machine, request: FactsRequest) -> Fields:
    try:
        return {"owner": owner.read_owner(Path(request.owner_file))}
    except StepFailed as error:
        return {"owner_error": str(error)}


def _settings_file(machine: Machine, request: FactsRequest) -> Fields:
    assert request.settings_file is not None
    return {"settings_file": settings.settings_file(machine, request.settings_file)}


def _settings(machine: Machine, request: FactsRequest) -> Fields:
    return {"settings": {e.runtime: environment.settings(e, request.env_keys) for e in request.environments}}


def _streams(machine: Machine, request: FactsRequest) -> Fields:
    assert request.streams is not None
    return {"jetstream": jetstream.jetstream(machine, request.streams)}


def _providers(machine: Machine, request: FactsRequest) -> Fields:
    return {"providers": {ref.environment.runtime: provider.check_provider(ref) for ref in request.providers}}


def _static(machine: Machine, request: FactsRequest) -> Fields:
    return {
        "unit_errors": scripts.unit_errors(machine, request.unit_files),
        "script_errors": scripts.script_errors(machine, request.scripts, request.user),
    }


def _exposures(machine: Machine, request: FactsRequest) -> Fields:
    scores, error = scripts.exposures(machine, request.exposed)
    return {"exposures": scores, "exposure_error": error}


def _firewall(machine: Machine, request: FactsRequest) -> Fields:
    return {"firewall": firewall.firewall(machine)}


def _edge(machine: Machine, request: FactsRequest) -> Fields:
    from ..edge.facts import edge_facts  # the edge's module needs this one's caller

    assert request.edge is not None
    return {"edge": edge_facts(machine, request.edge)}


def _edge_backups(machine: Machine, request: FactsRequest) -> Fields:
    from ..edge import backup  # which knows the edge's database, as `edge` does

    assert request.edge is not None
    if request.edge_backups == "all":
        return {"edge_backups": tuple(backup.read_all(machine.ops))}
    try:
        return {"edge_backups": tuple(backup.find(machine.ops, request.edge.database, request.edge_backups))}
    except StepFailed:
        return {}  # the database cannot be read, which `_edge` reports


def _native_health(machine: Machine, request: FactsRequest) -> Fields:
    return _health(machine, request, "native")


def _docker_health(machine: Machine, request: FactsRequest) -> Fields:
    return _health(machine, request, "docker")


def _health(machine: Machine, request: FactsRequest, runtime: str) -> Fields:
    workloads = [w for w in request.workloads if w.runtime == runtime]
    try:
        return {"health": health.wait_until_healthy(machine, workloads, request.patience) if workloads else {}}
    except StepFailed:
        return {}  # the user manager or Docker does not answer, which has a fact of its own


def _health_with_containers(request: FactsRequest) -> bool:
    """Whether `_containers` reports the containers' health as well: not where it is waited for, since they change."""
    return bool(request.project) and not request.patience


def _checkout(machine: Machine, request: FactsRequest) -> Fields:
    try:
        return {"checkout": git.checkout(machine, request.checkout, request.user)}
    except StepFailed as error:
        return {"checkout_error": failure_detail(error)}


def _releases(machine: Machine, request: FactsRequest) -> Fields:
    assert request.releases is not None
    return {"releases": reading.releases(machine, request.releases)}


def _redis(machine: Machine, request: FactsRequest) -> Fields:
    return {"redis_formats": {path: versions.rdb_format(Path(path)) for path in request.redis_data}}


def _data(machine: Machine, request: FactsRequest) -> Fields:
    return {"data": holding.holdings(machine, request.data)}


def _openers(machine: Machine, request: FactsRequest) -> Fields:
    return {"openers": openers(request.opened), "mounts_below": mounts_below(request.opened)}


def _kept(machine: Machine, request: FactsRequest) -> Fields:
    return {"unkept": unkept(request.kept)}


def _disks(machine: Machine, request: FactsRequest) -> Fields:
    return {"disks": disk.free(request.disks)}


def _ops(machine: Machine, request: FactsRequest) -> Fields:
    return {"ops": read_state(machine.ops)}


def _sizes(machine: Machine, request: FactsRequest) -> Fields:
    return {"sizes": disk.sizes(machine, request.sized)}


def _needs(machine: Machine, request: FactsRequest) -> Fields:
    return {"lacking": needs.lacking(machine, request.needs)}


_JOBS: list[tuple[Callable[[FactsRequest], object], Callable[[Machine, FactsRequest], Mapping[str, Any]]]] = [
    # What takes longest begins first.
    (lambda w: w.programs, _programs),
    (lambda w: w.compose, _compose),
    (lambda w: w.firewall, _firewall),
    (lambda w: w.edge, _edge),
    (lambda w: w.workloads, _native_health),
    (lambda w: w.workloads and not _health_with_containers(w), _docker_health),
    (lambda w: w.project, _containers),
    (lambda w: w.project and w.programs, _docker_kind),
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
    (lambda w: w.environments, _settings),
    (lambda w: w.settings_file, _settings_file),
    (lambda w: w.streams, _streams),
    (lambda w: w.providers, _providers),
    (lambda w: w.unit_files or w.scripts, _static),
    (lambda w: w.exposed, _exposures),
    (lambda w: w.edge and w.edge_backups, _edge_backups),
    (lambda w: w.checkout, _checkout),
    (lambda w: w.releases, _releases),
    (lambda w: w.redis_data, _redis),
    (lambda w: w.data, _data),
    (lambda w: w.opened, _openers),
    (lambda w: w.kept, _kept),
    (lambda w: w.disks, _disks),
    (lambda w: w.ops, _ops),
    (lambda w: w.needs, _needs),
    (lambda w: w.sized, _sizes),
]
