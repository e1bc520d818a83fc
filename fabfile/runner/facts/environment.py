"""The environment that a runtime gives the app: its env file, then the overrides, which win."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .. import store
from ..system.envfile import read_env
from ..system.machine import Machine, StepFailed, failure_detail
from ..wire.app import Environment, Setting, Settings
from ..wire.compose import Compose
from . import compose

Values = dict[str, str]

_composed: dict[tuple[object, ...], Values] = {}  # Compose takes its time, and is asked again and again


def in_force(environment: Environment) -> dict[str, Setting]:
    """Every variable with its value and the file that it comes from. Some are secret: this stays on the VPS.

    Before the first installation there is no overrides file. Raises OSError; ValueError, of which UnicodeDecodeError is
    one, and where Compose does not take its files.
    """
    if environment.compose:
        return _in_docker(environment, environment.compose)
    found = {name: Setting(value, environment.env_file) for name, value in read_env(Path(environment.env_file)).items()}
    overrides = environment.planned
    if overrides is None:
        try:
            overrides = read_env(Path(environment.overrides_file))
        except FileNotFoundError:
            overrides = {}
    found.update({name: Setting(value, environment.overrides_file) for name, value in overrides.items()})
    return found


def settings(environment: Environment, keys: Sequence[str]) -> Settings:
    """Only the named variables: the rest may be secret."""
    try:
        found = in_force(environment)
    except (OSError, ValueError) as error:
        return Settings(problem=f"{environment.env_file}: {error}")
    return Settings({key: found[key] for key in keys if key in found})


def _in_docker(environment: Environment, project: Compose) -> dict[str, Setting]:
    """As Compose reads its files: quotes, comments and variables in them are its business."""
    own = _compose_reads(environment, project, laid=False)
    if environment.planned is not None:
        values = {**own, **environment.planned}
    else:
        values = _compose_reads(environment, project, laid=True) if os.path.exists(project.overlay) else own
    listed = _listed(environment.env_file)
    found = {}
    for name, value in values.items():
        origin = environment.env_file if name in listed else project.file
        found[name] = Setting(value, origin if own.get(name) == value else environment.overrides_file)
    return found


def _compose_reads(environment: Environment, project: Compose, *, laid: bool) -> Values:
    """What the services get by the own file, with the overlay `laid` over it or without; kept until a file changes."""
    files = (project.file, project.overlay, environment.env_file, f"{project.directory}/.env")
    key = (project, environment.services, laid, *map(_state, files))
    if key not in _composed:
        machine = Machine(store.ROOT)
        try:
            config = (compose.installed if laid else compose.own)(machine, project)
        except StepFailed as error:
            raise ValueError(failure_detail(error)) from error
        _composed[key] = _merged(compose.environments(config), environment.services)
    return dict(_composed[key])


def _merged(services: Mapping[str, Mapping[str, str]], names: Iterable[str]) -> Values:
    """The variables of several services; where they differ, the one named first is heard."""
    found: Values = {}
    for name in names:
        found = {**services.get(name, {}), **found}
    return found


def _state(path: str) -> tuple[int, ...]:
    """What changes when somebody writes the file; empty where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _listed(path: str) -> Iterable[str]:
    try:
        return read_env(Path(path)).keys()
    except (OSError, ValueError):  # it need not be there, and Compose has read what is
        return ()
