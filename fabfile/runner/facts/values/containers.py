"""Values that only a container resolves: names on Compose's network, and paths that are mounted into it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from ...wire.app import Setting
from ...wire.settings import ContainerValue
from ..compose import Config, FileConfig, ServiceConfig

HOSTS = Path("/etc/hosts")

_DOCKERS_OWN = ("host.docker.internal", "gateway.docker.internal")
_SECRETS = "/run/secrets"
_ANY_CASE = re.IGNORECASE | re.ASCII  # else a long s is an s
# A variable that holds a host, by its name: PGHOST, BROKERS, API_ADDR.
_OF_HOST = re.compile(r"(?:HOST|HOSTNAME|SERVER|ADDR|ADDRESS|ENDPOINT|BROKER|UPSTREAM|URL|URI)S?$", re.IGNORECASE)


def container_values(variables: Mapping[str, Setting], config: Config, service: str) -> Iterator[ContainerValue]:
    """The variables of a native service that name what only its container knows, each once."""
    names, paths = _names(config, service), _paths((config.get("services") or {}).get(service, {}))
    own = frozenset(name.lower() for name in names) - _known_here()
    any_name = "|".join(re.escape(name) for name in sorted(own, key=len, reverse=True)) or r"(?!)"
    found = re.compile(any_name, _ANY_CASE)
    in_url = re.compile(rf"""//(?:[^\s/?#"']*[@,])?({any_name})(?=[:/?#,\s"']|$)""", _ANY_CASE)
    # Not redis:7 or postgres:16, which are images.
    with_port = re.compile(rf"""(?:^|[@,;=(\s"'])({any_name}):(?:80|\d{{3,5}})(?![\w.-])""", _ANY_CASE)
    for name, setting in variables.items():
        value = setting.value.strip()
        host = in_url.search(value) or with_port.search(value)
        word = found.fullmatch(value)
        path = next((path for path in paths if _leads_below(value, path)), "")
        if host or word:
            spelled = (host[1] if host else value).lower()
            certain = bool(host or "." in spelled or _OF_HOST.search(name))
            yield ContainerValue(name, setting.origin, f"{names[spelled]} {spelled}".lstrip(), certain=certain)
        elif path:
            yield ContainerValue(name, setting.origin, f"{paths[path]} {path}")


def _names(config: Config, service: str) -> dict[str, str]:
    """Host → what it is: Docker's own, those of `extra_hosts`, and those of all services on the project's networks."""
    services = config.get("services") or {}
    names = dict.fromkeys(_extra_hosts(services.get(service, {})), "the host of extra_hosts")
    for name, one in services.items():
        networks = (one.get("networks") or {}).values()
        aliases = [alias for network in networks for alias in (network or {}).get("aliases") or []]
        for host in (*aliases, one.get("container_name") or ""):
            names[host.lower()] = f"the container of {name},"
        names[name.lower()] = "the Compose service"
    names.pop("", None)
    return {**names, **dict.fromkeys(_DOCKERS_OWN, "")}


def _extra_hosts(service: ServiceConfig) -> list[str]:
    """By the version of Compose they are `name=address`, `name:address`, or a table."""
    hosts = service.get("extra_hosts") or []
    return [re.split("[=:]", host, maxsplit=1)[0].lower() for host in hosts]


def _paths(service: ServiceConfig) -> dict[str, str]:
    """Path in the container → what it is, but for what is at the same path of the VPS.

    Another folder there at the path of a mount holds something else, while any scratch folder is as good.
    """
    every = [mount for mount in service.get("volumes") or [] if mount.get("target") not in (None, mount.get("source"))]
    mounts = {mount["target"]: "the mount" for mount in every if mount.get("type") != "tmpfs"}
    scratch = {mount["target"]: "the mount" for mount in every if mount.get("type") == "tmpfs"}
    secrets = {_target(one, _SECRETS): "the secret" for one in service.get("secrets") or []}
    configs = {_target(one, "/"): "the config" for one in service.get("configs") or []}
    files = {path: what for path, what in {**scratch, **secrets, **configs}.items() if not os.path.exists(path)}
    return {**mounts, **files}


def _target(one: FileConfig, folder: str) -> str:
    return str(PurePosixPath(folder, one.get("target") or one.get("source") or ""))


def _leads_below(value: str, path: str) -> bool:
    value = value[len("file://") :] if value.startswith("file://") else value
    return f"{value}/".startswith(f"{path.rstrip('/')}/")


def _known_here() -> frozenset[str]:
    """The names that the VPS resolves by its own file: they lead somewhere natively as well."""
    try:
        lines = HOSTS.read_text(errors="replace").lower().splitlines()
    except OSError:
        lines = []
    return frozenset(word for line in lines for word in line.partition("#")[0].split()[1:]) | {"localhost"}
