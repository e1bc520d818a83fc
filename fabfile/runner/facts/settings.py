"""Whether the app gets the same settings from both runtimes: names leave the VPS, values never."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..system import docker, paths
from ..system.envfile import parse_systemd, passed_on, read_compose, systemd_text
from ..system.machine import CommandFailed, Machine, StepFailed, failure_detail, os_error_text
from ..wire.app import Compose, Setting
from ..wire.settings import Comparison, ContainerValue, Difference, Differences, SettingsFile, SettingsFileFact
from . import compose
from .data.redis_login import VARIABLE, leads_to_own, refused_logins
from .environment import by_unit, env_file, names_in
from .values.containers import container_values
from .values.urls import LOGIN, parts_that_differ, with_places

_IMAGES_OWN = frozenset(
    ("PATH", "BUN_INSTALL_BIN", "BUN_RUNTIME_TRANSPILER_CACHE_PATH", "NODE_VERSION", "YARN_VERSION")
)
_UNSET = Setting("", "")
_HEADER = (
    "# What Compose reads in {}, as systemd reads the same, but for the servers' addresses. "
    "A change here is lost with the next installation.\n"
)


def text_of(file: SettingsFile) -> str:
    """What the file must hold, secrets and all: it stays on the VPS. Raises OSError; ValueError, without a value."""
    values = with_places(env_file(file.env_file, file.project), file.places)
    return _HEADER.format(file.env_file) + systemd_text(values)


def settings_file(machine: Machine, file: SettingsFile) -> SettingsFileFact:
    """How the file is, beside what its env file says now. Never raises."""
    there = paths.file_fact(file.path)
    fact = (there.kind, there.mode, there.owner, there.group)
    try:
        text = text_of(file)
    except OSError as error:
        return SettingsFileFact(*fact, problem=f"{file.env_file} can't be read: {os_error_text(error)}")
    except UnicodeDecodeError:
        return SettingsFileFact(*fact, problem=f"{file.env_file} is no UTF-8 text")
    except ValueError as error:
        return SettingsFileFact(*fact, problem=f"Compose does not take {file.env_file}: {error}")
    return SettingsFileFact(*fact, differs=_differs(file, fact, text), denied=_denied(machine, file))


def _denied(machine: Machine, file: SettingsFile) -> str:
    """Where Bun finds an .env in its folder it reads that as well, as the app's user; folders count too."""
    try:
        result = machine.run(["test", "-r", file.env_file], user=file.owner, timeout=10, ok=None)
    except CommandFailed as error:
        return failure_detail(error)
    return "" if result.code == 0 else f"{file.owner} cannot read {file.env_file}"


def _differs(file: SettingsFile, fact: tuple[str, int, str, str], text: str) -> str:
    kind, *rights = fact
    if kind != "file":
        return "it is missing" if kind == "missing" else f"it is no file: {kind}"
    try:
        there = Path(file.path).read_bytes()
    except OSError as error:
        return f"it can't be read: {os_error_text(error)}"
    if there != text.encode():
        former, now = parse_systemd(there.decode(errors="replace")), parse_systemd(text)
        names = sorted(name for name in {*former, *now} if former.get(name) != now.get(name))
        return f"it says something else in {', '.join(names)}" if names else "it is written in another way"
    if rights != [file.mode, file.owner, file.group]:
        return f"it belongs to {fact[2]}:{fact[3]}, mode {fact[1]:o}"
    return ""


def differences(machine: Machine, comparison: Comparison, config: compose.Config, project: Compose) -> Differences:
    """Each variable that a service gets otherwise natively than in Docker. Never raises.

    Natively it is what its unit gives it, and what Bun reads by itself; in Docker what Compose gives it, and its image.
    """
    native, docker_env_file = comparison.native, comparison.docker_env_file
    try:
        units = by_unit(native)
    except UnicodeDecodeError:
        return Differences(problem=f"{native.env_file} is no UTF-8 text")
    except (OSError, ValueError) as error:
        return Differences(
            problem=f"{native.env_file}: {os_error_text(error) if isinstance(error, OSError) else error}"
        )
    containers = compose.environments(config)
    in_env_file = set(names_in(docker_env_file))

    def from_docker(name: str) -> str:
        return docker_env_file if name in in_env_file else project.file

    services: dict[Difference, list[str]] = {}
    of_containers: dict[ContainerValue, list[str]] = {}
    of_images = _of_images(machine, config, native.services)
    of_bun = _of_bun(machine, comparison, units, containers, project.project)
    for service, unit in zip(native.services, native.units):
        if service not in containers:  # which has a finding of its own
            continue
        image = {name: value for name, value in of_images[service].items() if name not in containers[service]}
        here, there = of_bun[service]
        for value in container_values({**here, **units[unit]}, config, service):
            of_containers.setdefault(value, []).append(service)
        for difference in _compared({**here, **units[unit]}, {**there, **image, **containers[service]}):
            key, name = difference, difference.name
            if key.docker and name in image:
                key = replace(key, docker=f"the image {compose.image_of(config, service)}", of_image=not key.native)
            elif key.docker:
                key = replace(key, docker=from_docker(name))
            services.setdefault(key, []).append(service)
    variables = [replace(difference, services=tuple(names)) for difference, names in services.items()]
    logins = refused_logins(
        {service: units[unit] for service, unit in zip(native.services, native.units)},
        {service: containers.get(service, {}) for service in native.services},
        from_docker(VARIABLE),
        compose.command(config, "redis"),
    )
    values = (replace(value, services=tuple(names)) for value, names in of_containers.items())
    return Differences(tuple(sorted(variables, key=lambda difference: difference.name)), logins, tuple(values))


def _of_images(machine: Machine, config: compose.Config, services: Sequence[str]) -> dict[str, dict[str, str]]:
    """What its image gives each service, without what is about the image itself; nothing where that can't be read."""
    images = {service: compose.image_of(config, service) for service in services}
    try:
        variables = compose.image_variables(machine, list(images.values()))
    except CommandFailed:  # which the images' own fact reports
        variables = {}
    return {
        service: {name: value for name, value in variables.get(image, {}).items() if name not in _IMAGES_OWN}
        for service, image in images.items()
    }


def _of_bun(
    machine: Machine,
    comparison: Comparison,
    units: Mapping[str, Mapping[str, Setting]],
    containers: Mapping[str, Mapping[str, str]],
    project: str,
) -> dict[str, tuple[dict[str, Setting], dict[str, str]]]:
    """What Bun reads by itself for each service, natively and in its container; nothing where no container runs."""
    native = comparison.native
    found: dict[str, tuple[dict[str, Setting], dict[str, str]]] = {service: ({}, {}) for service in native.services}
    read = {
        service: _bun_reads(folder, units[unit].get("NODE_ENV", _UNSET).value)
        for service, unit, folder in zip(native.services, native.units, comparison.folders)
    }
    if not any(read.values()):
        return found
    try:
        running = {
            name: container for name, container in docker.containers(machine, project).items() if container.running
        }
    except StepFailed:
        return found
    for service, own in read.items():
        if service in running:
            mode = containers.get(service, {}).get("NODE_ENV", "")
            inside = _bun_reads(f"/proc/{running[service].pid}/cwd", mode)
            found[service] = (own, {name: setting.value for name, setting in inside.items()})
    return found


def _bun_reads(folder: str, mode: str) -> dict[str, Setting]:
    """The variables of the env files that Bun looks for where it is started; what its process has goes before them."""
    mode = mode if mode in ("production", "test") else "development"
    local = () if mode == "test" else (".env.local",)
    found: dict[str, Setting] = {}
    for name in (f".env.{mode}.local", *local, f".env.{mode}", ".env"):
        path = Path(folder, name)
        try:
            values = read_compose(path)
        except (OSError, ValueError):  # it need not be there; what Bun makes of another one is not known
            continue
        found = {**{key: Setting(value, f"Bun's own {path}") for key, value in values.items()}, **found}
    return found


def _compared(native: Mapping[str, Setting], docker: Mapping[str, str]) -> Iterator[Difference]:
    for name in {*native, *docker} - {""}:
        here, there = native.get(name), docker.get(name)
        if (here.value if here else None) != there:
            unfit = there is not None and not passed_on(name, there)
            parts = _parts(name, here.value, there) if here and there is not None else ()
            origins = (here.origin if here else "", "Compose" if there is not None else "")
            yield Difference(name, (), *origins, unfit, parts=parts)


def _parts(name: str, native: str, docker: str) -> tuple[str, ...]:
    """What differs in two URLs besides host and port. Native Redis has no login, so that it is right to lack one."""
    parts = parts_that_differ(native, docker)
    if name == VARIABLE and leads_to_own(native) and leads_to_own(docker):
        return tuple(part for part in parts if part != LOGIN)
    return parts
