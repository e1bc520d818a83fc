"""The environment that a runtime gives the app: its env file, then the overrides, which win."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Sequence

from .appfacts import Environment, Setting, Settings
from .envfile import read_env


def in_force(environment: Environment) -> Dict[str, Setting]:
    """Every variable with its value and the file that it comes from. Some are secret: this stays on the VPS.

    Before the first installation there is no overrides file. Raises OSError; UnicodeDecodeError (a ValueError).
    """
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
