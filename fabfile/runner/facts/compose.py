"""The app's own Compose file as Compose itself reads it, alone or with our overlay. Nothing is started or fetched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypedDict

from ..system import docker
from ..system.machine import CommandFailed, Machine, Result
from ..wire import shape
from ..wire.app import Compose, ComposeService


class BuildConfig(TypedDict, total=False):
    """How an image is built."""

    context: str
    dockerfile: str
    dockerfile_inline: str
    additional_contexts: dict[str, str] | None


class VolumeConfig(TypedDict, total=False):
    """What is mounted where."""

    type: str
    source: str
    target: str


class FileConfig(TypedDict, total=False):
    """A secret or a configuration that is put somewhere."""

    source: str
    target: str


class NetworkConfig(TypedDict, total=False):
    """How a service is on a network."""

    aliases: list[str] | None


class ServiceConfig(TypedDict, total=False):
    """A service as `docker compose config` spells it, as far as it is read here."""

    image: str | None
    build: BuildConfig | None
    environment: dict[str, object] | None
    volumes: list[VolumeConfig] | None
    secrets: list[FileConfig] | None
    configs: list[FileConfig] | None
    extra_hosts: list[str] | dict[str, object] | None
    networks: dict[str, NetworkConfig | None] | None
    container_name: str | None
    restart: str | None
    command: list[str] | None
    entrypoint: list[str] | None


class Config(TypedDict, total=False):
    """A project as `docker compose config` spells it."""

    name: str
    services: dict[str, ServiceConfig] | None


NO_PLUGIN = "`docker compose` does not work on the VPS: Docker's Compose plugin (version 2) is not installed"

_QUOTED = re.compile(r"(variable name).*")
_INSPECT = ("docker", "image", "inspect", "--format", "ok")
# Services behind a profile are read as well: one of them may be the inventory's.
_CONFIG = ("--profile", "*", "config", "--format", "json")


def own(machine: Machine, ref: Compose) -> Config:
    """The configuration by the app's own file alone. Raises CommandFailed with Compose's message."""
    return _config(machine, docker.own_compose(ref))


def installed(machine: Machine, ref: Compose) -> Config:
    """The configuration that the next call of Compose runs: with the overlay as it is now. Raises CommandFailed."""
    return _config(machine, docker.compose(ref))


def planned(machine: Machine, ref: Compose, overlay: str) -> Config:
    """The configuration that a plan will run: with the overlay that it will write. Raises CommandFailed."""
    return _config(machine, [*docker.own_compose(ref), "--file", "-"], overlay) if overlay else own(machine, ref)


def environments(config: Config) -> dict[str, dict[str, str]]:
    """Service → its variables, those of env files included. Some are secret, so this stays on the VPS."""
    return {name: _environment(service) for name, service in _services(config).items()}


def image_of(config: Config, name: str) -> str:
    """The image that a service runs."""
    return _image(config, name, _services(config).get(name, {}))


def image_variables(machine: Machine, images: Sequence[str]) -> dict[str, dict[str, str]]:
    """Image → the variables that it gives its containers; none where one of them is not on the VPS.

    Some may be secret, so this stays on the VPS. Raises CommandFailed where Docker does not answer in time.
    """
    chosen = list(dict.fromkeys(images))
    if not chosen:
        return {}
    result = machine.run([*_INSPECT[:-1], "{{json .Config.Env}}", *chosen], timeout=15, ok=None)
    try:
        found = [shape.parse(line) or [] for line in result.out.splitlines()]
        variables = [dict(str(entry).partition("=")[::2] for entry in entries) for entries in found]
    except (ValueError, TypeError):
        return {}
    return dict(zip(chosen, variables)) if result.code == 0 and len(variables) == len(chosen) else {}


def command(config: Config, name: str) -> list[str] | None:
    """The command line that Compose gives a service, in words; None where the image's own counts in part or whole."""
    service = _services(config).get(name, {})
    words = service.get("command")
    return None if service.get("entrypoint") or not words else [str(word).replace("$$", "$") for word in words]


def services(machine: Machine, config: Config) -> dict[str, ComposeService]:
    """The services by name, and which of their images and build contexts are on the VPS."""
    configs = _services(config)
    images = {name: _image(config, name, service) for name, service in configs.items()}
    missing = _missing(machine, sorted(set(images.values())))
    return {
        name: ComposeService(
            name=name,
            image=images[name],
            there=images[name] not in missing,
            built=bool(service.get("build")),
            lacking=tuple(_lacking(service.get("build") or {})),
            mounts={mount.get("target", ""): mount.get("source", "") for mount in service.get("volumes") or []},
            restart=service.get("restart") or "",
            limits=_limits(command(config, name) or []),
        )
        for name, service in configs.items()
    }


def _config(machine: Machine, command: Sequence[str], overlay: str = "") -> Config:
    result = machine.run([*command, *_CONFIG], timeout=20, stdin=overlay.encode() if overlay else None, ok=None)
    if result.code:
        plugin = machine.run(["docker", "compose", "version"], timeout=20, ok=None)
        if plugin.code:  # the output before is Docker's own help
            raise CommandFailed(NO_PLUGIN)
        # Of a name that it can't read Compose quotes all that follows in the env file, secrets as well.
        raise CommandFailed("docker compose rejects the file", said=_QUOTED.sub(r"\1 (not shown)", result.excerpt))
    return parse(result)


def parse(result: Result) -> Config:
    """The configuration that `docker compose config` printed. Raises CommandFailed for what Compose does not print."""
    try:
        config: Config = shape.parse_as(result.out, Config)
    except ValueError as error:
        problem = f"docker compose config answered as Compose does not: {error}"
        raise CommandFailed(problem, said=problem) from error
    return config


def _services(config: Config) -> dict[str, ServiceConfig]:
    return config.get("services") or {}


def _environment(service: ServiceConfig) -> dict[str, str]:
    """`config` writes every $ of a value twice, so that Compose could read it again."""
    values = service.get("environment") or {}
    return {name: str(value).replace("$$", "$") for name, value in values.items() if value is not None}


def _image(config: Config, name: str, service: ServiceConfig) -> str:
    return str(service.get("image") or f"{config.get('name', '')}-{name}")


def _limits(words: Sequence[str]) -> dict[str, str]:
    """What of `--maxmemory 256mb --maxmemory-policy allkeys-lru` is there, each as two words or one."""
    plain = " ".join(words).split()
    return {name[2:]: value for name, value in zip(plain, plain[1:]) if name in ("--maxmemory", "--maxmemory-policy")}


def _missing(machine: Machine, images: Sequence[str]) -> set[str]:
    """Those of the images that are not on the VPS.

    One call for all, since the start of Docker's client takes longer than its answer. Where one is missing, each has
    its own call: Docker names them in its own spelling, which need not be the Compose file's.
    """
    if not images or machine.run([*_INSPECT, *images], timeout=15, ok=None).code == 0:
        return set()
    with ThreadPoolExecutor(max_workers=6) as pool:
        present = pool.map(lambda image: _is_present(machine, image), images)
        return {image for image, is_present in zip(images, present) if not is_present}


def _is_present(machine: Machine, image: str) -> bool:
    """Whether an image is on the VPS; true where Docker does not answer, which another fact reports."""
    result = machine.run([*_INSPECT, image], timeout=15, ok=None)
    return result.code == 0 or "no such image" not in result.err.lower()


def _lacking(build: BuildConfig) -> Iterator[str]:
    """Folders and files that a build needs and that do not exist; remote contexts are not checked."""
    context = str(build.get("context") or "")
    needed: list[str] = [context, *(str(place) for place in (build.get("additional_contexts") or {}).values())]
    if build and not build.get("dockerfile_inline"):
        needed.append(os.path.join(context, str(build.get("dockerfile") or "Dockerfile")))
    yield from (path for path in needed if path.startswith("/") and not os.path.exists(path))
