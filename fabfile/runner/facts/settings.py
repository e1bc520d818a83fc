"""Whether the app gets the same settings from both runtimes: names leave the VPS, values never."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ..system import paths
from ..system.envfile import parse_systemd, passed_on, systemd_text
from ..system.machine import CommandFailed, Machine, failure_detail, os_error_text
from ..wire.app import Setting
from ..wire.compose import Compose
from ..wire.settings import Comparison, Difference, Differences, SettingsFile, SettingsFileFact
from . import compose
from .data.redis_login import VARIABLE, refused_logins
from .environment import by_unit, env_file, names_in

_HEADER = "# What Compose reads in {}, as systemd reads the same. A change here is lost with the next installation.\n"


def text_of(file: SettingsFile) -> str:
    """What the file must hold, secrets and all: it stays on the VPS. Raises OSError; ValueError, without a value."""
    return _HEADER.format(file.env_file) + systemd_text(env_file(file.env_file, file.project))


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


def differences(comparison: Comparison, config: compose.Config, docker: Compose) -> Differences:
    """Each variable that a service gets otherwise from its unit than from Compose. Never raises."""
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
        return docker_env_file if name in in_env_file else docker.file

    services: dict[Difference, list[str]] = {}
    for service, unit in zip(native.services, native.units):
        if service not in containers:  # which has a finding of its own
            continue
        for difference in _compared(units[unit], containers[service]):
            key = replace(difference, docker=from_docker(difference.name)) if difference.docker else difference
            services.setdefault(key, []).append(service)
    variables = [replace(difference, services=tuple(names)) for difference, names in services.items()]
    logins = refused_logins(
        {service: units[unit] for service, unit in zip(native.services, native.units)},
        {service: containers.get(service, {}) for service in native.services},
        from_docker(VARIABLE),
        compose.command(config, "redis"),
    )
    return Differences(tuple(sorted(variables, key=lambda difference: difference.name)), logins)


def _compared(native: Mapping[str, Setting], docker: Mapping[str, str]) -> Iterator[Difference]:
    for name in {*native, *docker} - {""}:
        here, there = native.get(name), docker.get(name)
        if (here.value if here else None) != there:
            unfit = there is not None and not passed_on(name, there)
            yield Difference(name, (), here.origin if here else "", "Compose" if there is not None else "", unfit)
