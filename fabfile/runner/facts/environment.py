"""The environment that a runtime gives the app: what Compose gives its services, and what systemd gives its units."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from glob import glob
from pathlib import Path
from threading import Lock

from .. import store
from ..system import systemd
from ..system.envfile import passed_on, read_compose, read_systemd
from ..system.machine import Machine, StepFailed, environment_of, failure_detail
from ..wire.app import Compose, Environment, Setting, Settings
from ..wire.settings import user_manager
from . import compose
from .values.urls import with_places

Values = dict[str, str]
Variables = dict[str, Setting]

_composed: dict[tuple[object, ...], Values] = {}  # Compose takes its time, and is asked again and again
_composing = Lock()  # so that of several who need it at once one waits for it


def in_force(environment: Environment) -> Variables:
    """Every variable with its value and the file that it comes from. Some are secret: this stays on the VPS.

    Before the first installation there is no overrides file. Where services get different values, the one named first
    counts. Raises OSError; ValueError, of which UnicodeDecodeError is one, and where Compose does not take its files.
    """
    if environment.compose:
        return _in_docker(environment, environment.compose)
    merged: Variables = {}
    for variables in by_unit(environment).values() if environment.units else [_from_files(environment)]:
        merged = {**variables, **merged}
    return merged


def settings(environment: Environment, keys: Sequence[str]) -> Settings:
    """Only the named variables: the rest may be secret."""
    try:
        variables = in_force(environment)
    except (OSError, ValueError) as error:
        return Settings(problem=f"{environment.env_file}: {error}")
    return Settings({key: variables[key] for key in keys if key in variables})


def env_file(path: str, project: Compose | None) -> Values:
    """What Compose reads in an env file, some of it secret. Raises OSError, ValueError."""
    return read_compose(Path(path), _known(project).get)


def by_unit(environment: Environment) -> dict[str, Variables]:
    """What systemd gives each of the units; with `planned`, once a plan has written its files.

    Raises OSError, ValueError.
    """
    machine, user = Machine(store.ROOT), environment.user
    try:
        units = systemd.environments(machine, environment.units, user)
        managers = systemd.manager_environment(machine, user) if user else {}
    except StepFailed:  # without a manager there is no unit yet
        units, managers = {}, {}
    inherited = {name: Setting(value, user_manager(user)) for name, value in managers.items()}
    nothing = systemd.UnitEnvironment()
    return {name: _of_unit(environment, name, units.get(name, nothing), inherited) for name in environment.units}


def _of_unit(environment: Environment, name: str, unit: systemd.UnitEnvironment, inherited: Variables) -> Variables:
    """The manager's, Environment=, then each EnvironmentFile= in its order, without what UnsetEnvironment= names."""
    variables = {**inherited, **{key: Setting(value, name) for key, value in unit.values.items()}}
    rest = unit.files
    if environment.planned is not None or not unit.files:
        variables.update(_from_files(environment))
        # An earlier version's units read the env file itself.
        ours = (environment.env_file, environment.settings_file, environment.overrides_file)
        rest = tuple((path, optional) for path, optional in unit.files if path not in ours)
    for path, optional in rest:
        variables.update(_read(environment, path, optional))
    return {key: setting for key, setting in variables.items() if key not in unit.unset}


def _from_files(environment: Environment) -> Variables:
    """What our two files give, or what they will: before an installation, and in a plan that installs."""
    planned, file = environment.planned, environment.settings_file
    if planned is None and file and os.path.exists(file):
        values = read_systemd(Path(file))
    else:
        values = with_places(env_file(environment.env_file, environment.project), environment.places)
    variables = {key: Setting(value, environment.env_file) for key, value in values.items() if passed_on(key, value)}
    if planned is None:
        return {**variables, **_read(environment, environment.overrides_file, optional=True)}
    return {**variables, **{key: Setting(value, environment.overrides_file) for key, value in planned.items()}}


def _read(environment: Environment, path: str, optional: bool) -> Variables:
    values: Values = {}
    for place in sorted(glob(path)) or [path]:  # systemd takes patterns
        try:
            values.update(read_systemd(Path(place)))
        except FileNotFoundError:
            if not optional:
                raise
    # What stands in our settings file comes from the env file, and is to be changed there.
    origin = environment.env_file if path == environment.settings_file else path
    return {name: Setting(value, origin) for name, value in values.items()}


def _known(project: Compose | None) -> Values:
    """The variables that Compose itself has when the runner calls it: its process' own, then the project's .env."""
    own = environment_of(None)
    if project is None:
        return own
    own["COMPOSE_PROJECT_NAME"] = project.project
    try:
        return {**read_compose(Path(project.directory, ".env"), own.get), **own}
    except FileNotFoundError:
        return own


def _in_docker(environment: Environment, project: Compose) -> Variables:
    """As Compose reads its files: quotes, comments and variables in them are its business."""
    own = _compose_reads(environment, project, laid=False)
    if environment.planned is not None:
        values = {**own, **environment.planned}
    else:
        values = _compose_reads(environment, project, laid=True) if os.path.exists(project.overlay) else own
    listed = names_in(environment.env_file)
    found = {}
    for name, value in values.items():
        origin = environment.env_file if name in listed else project.file
        found[name] = Setting(value, origin if own.get(name) == value else environment.overrides_file)
    return found


def _compose_reads(environment: Environment, project: Compose, *, laid: bool) -> Values:
    """What the services get by the own file, with the overlay `laid` over it or without; kept until a file changes."""
    files = (project.file, project.overlay, environment.env_file, f"{project.directory}/.env")
    key = (project, environment.services, laid, *map(_state, files))
    with _composing:
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


def names_in(path: str) -> Iterable[str]:
    """The variables that an env file names for Compose; none where it can't be read."""
    try:
        return env_file(path, None).keys()
    except (OSError, ValueError):  # it need not be there, and Compose has read what is
        return ()
