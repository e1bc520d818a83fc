"""Reads Docker's containers: state, names on each network, mounts, ports, and answers of their HTTP servers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from ..system import http, sockets
from ..system.inspected import Inspected, InspectedBinding, InspectedMount, InspectedNetwork, inspected
from ..system.machine import CommandFailed, Machine
from ..wire.adoption import ContainerFound, Mount

_LABEL = "com.docker.compose."
_PORT = re.compile(r"([0-9]{1,5})/tcp")
_HEALTH_PATHS = ("/health", "/healthz", "/")
_TIMEOUT_SECONDS = 3.0  # for an answer: nobody depends on it


def inspect_all(machine: Machine) -> list[Inspected]:
    """`docker inspect` of every container, stopped ones included, one-off ones left out. Raises CommandFailed."""
    ids = machine.run(["docker", "ps", "-a", "-q", "--no-trunc"], timeout=20).out.split()
    if not ids:
        return []
    result = machine.run(["docker", "inspect", "--type", "container", *ids], timeout=30, ok=None)
    try:
        items = inspected(result.out)
    except ValueError as error:
        problem = f"docker inspect describes a container as Docker does not: {error}"
        raise CommandFailed(problem, said=problem) from error
    if result.code != 0 and not items:
        raise CommandFailed(f"docker inspect ended with {result.code}", said=result.excerpt)
    return [item for item in items if label(item, "oneoff").lower() != "true"]


def label(item: Inspected, name: str) -> str:
    """The value of one of Compose's labels; empty where the container has none."""
    return str((item["Config"].get("Labels") or {}).get(_LABEL + name, ""))


def read(item: Inspected, shown: Sequence[str] = ()) -> ContainerFound:
    """A container, without its arguments and without the values of any variables but `shown`: they may be secret."""
    state, config, bindings = item["State"], item["Config"], item.get("HostConfig", {}).get("PortBindings") or {}
    networks = item["NetworkSettings"].get("Networks") or {}
    name = item.get("Name", "").lstrip("/")
    pid = int(state.get("Pid") or 0)
    variables = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
    return ContainerFound(
        service=label(item, "service") or name,
        name=name,
        image=str(config.get("Image") or ""),
        state=str(state.get("Status") or ""),
        networks={key: str((value or {}).get("IPAddress") or "") for key, value in networks.items()},
        aliases={key: _aliases(item, value or {}, name) for key, value in networks.items()},
        mounts=tuple(_mount(mount) for mount in item.get("Mounts") or ()),
        published=_published(bindings),
        exposed=tuple(sorted(tcp_ports(config.get("ExposedPorts") or {}))),
        listens=tuple(sockets.listening_ports(pid)) if pid else (),
        variables=tuple(sorted(variables)),
        shown={key: variables[key] for key in shown if key in variables},
        stop_signal=str(config.get("StopSignal") or ""),
        stop_timeout=int(config.get("StopTimeout") or 0),
    )


def http_answers(address: str, port: int) -> dict[str, str]:
    """Status and content type of GET on the usual health paths, by path; those without an answer are left out."""
    answers: dict[str, str] = {}
    for path in _HEALTH_PATHS:
        try:
            answer = http.request(address, port, path, seconds=_TIMEOUT_SECONDS, body=http.Body.SKIP)
        except OSError:
            return answers  # the other paths would only time out as well
        kind = answer.headers.get("content-type", "").partition(";")[0].strip()
        answers[path] = f"{answer.status} {kind}".strip()
    return answers


def _aliases(item: Inspected, network: InspectedNetwork, name: str) -> tuple[str, ...]:
    """The names that it has on the network, without its short identifier, which changes."""
    short = str(item.get("Id", ""))[:12]
    names = [*(network.get("Aliases") or ()), *(network.get("DNSNames") or ()), name]
    return tuple(dict.fromkeys(str(entry) for entry in names if entry and entry != short))


def _mount(mount: InspectedMount) -> Mount:
    source = str(mount.get("Source") or "")
    return Mount(source, str(mount.get("Destination") or ""), str(mount.get("Type") or "bind"), _owner(source))


def _owner(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_uid}:{status.st_gid}"


def _published(bindings: Mapping[str, list[InspectedBinding] | None]) -> dict[str, str]:
    """The ports by the container's configuration: a stopped one publishes nothing now, and would again."""
    return {
        port: f"{places[0].get('HostIp') or '0.0.0.0'}:{places[0].get('HostPort')}"
        for port, places in bindings.items()
        if places
    }


def tcp_ports(names: Iterable[str]) -> list[int]:
    """The TCP ports that Docker calls 4000/tcp."""
    return [int(match[1]) for match in map(_PORT.fullmatch, names) if match]
