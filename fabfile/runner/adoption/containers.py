"""Reads Docker's containers: state, names on each network, mounts, ports, and answers of their HTTP servers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from ..system import http, sockets
from ..system.inspected import Inspected, InspectedMount, InspectedNetwork
from ..system.machine import CommandFailed, Machine
from ..wire.adoption import Box, Mount

_LABEL = "com.docker.compose."
_HEALTH_PATHS = ("/health", "/healthz", "/")
_TIMEOUT_SECONDS = 3.0  # for an answer: nobody depends on it


def inspect_all(machine: Machine) -> list[Inspected]:
    """`docker inspect` of every container, stopped ones included, one-off ones left out. Raises CommandFailed."""
    ids = machine.run(["docker", "ps", "-a", "-q", "--no-trunc"], timeout=20).out.split()
    if not ids:
        return []
    result = machine.run(["docker", "inspect", "--type", "container", *ids], timeout=30, ok=None)
    try:
        items = json.loads(result.out or "[]")
    except ValueError as error:
        raise CommandFailed(f"docker inspect answered no JSON: {error}", said=result.excerpt) from error
    if result.code != 0 and not items:
        raise CommandFailed(f"docker inspect ended with {result.code}", said=result.excerpt)
    return [item for item in items if label(item, "oneoff").lower() != "true"]


def label(item: Inspected, name: str) -> str:
    """The value of one of Compose's labels; empty where the container has none."""
    return str((item["Config"].get("Labels") or {}).get(_LABEL + name, ""))


def box(item: Inspected, shown: Sequence[str] = ()) -> Box:
    """A container, without its arguments and without the values of any variables but `shown`: they may be secret."""
    state, config, host = item["State"], item["Config"], item["HostConfig"]
    networks = item["NetworkSettings"].get("Networks") or {}
    name = item["Name"].lstrip("/")
    pid = int(state.get("Pid") or 0)
    variables = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
    return Box(
        service=label(item, "service") or name,
        name=name,
        image=str(config.get("Image") or ""),
        state=str(state.get("Status") or ""),
        networks={key: str((value or {}).get("IPAddress") or "") for key, value in networks.items()},
        aliases={key: _aliases(item, value or {}, name) for key, value in networks.items()},
        mounts=tuple(_mount(mount) for mount in item.get("Mounts") or ()),
        published=_published(host.get("PortBindings") or {}),
        exposed=tuple(sorted(_port(key) for key in config.get("ExposedPorts") or {} if key.endswith("/tcp"))),
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


def _published(bindings: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    """The ports by the container's configuration: a stopped one publishes nothing now, and would again."""
    return {
        port: f"{places[0].get('HostIp') or '0.0.0.0'}:{places[0].get('HostPort')}"
        for port, places in bindings.items()
        if places
    }


def _port(text: str) -> int:
    return int(text.partition("/")[0])
