"""Docker's containers as they are: what runs, what it is called on which network, what of the host it sees."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from ..system import http, sockets
from ..system.inspected import Inspected, InspectedMount, InspectedNetwork
from ..system.machine import CommandFailed, Machine
from ..wire.adoption import Box, Mount

_LABEL = "com.docker.compose."
_ASKED = ("/health", "/healthz", "/")  # paths that a service is asked for
_PATIENCE = 3.0  # seconds for an answer: nobody depends on it


def inspected(machine: Machine) -> list[Inspected]:
    """Every container of the host, stopped ones included, one-off ones left out. Raises CommandFailed."""
    ids = machine.run(["docker", "ps", "-a", "-q", "--no-trunc"], timeout=20).out.split()
    if not ids:
        return []
    result = machine.run(["docker", "inspect", "--type", "container", *ids], timeout=30, ok=None)
    try:
        found = json.loads(result.out or "[]")
    except ValueError as error:
        raise CommandFailed(f"docker inspect answered no JSON: {error}", said=result.said) from error
    if result.code != 0 and not found:
        raise CommandFailed(f"docker inspect ended with {result.code}", said=result.said)
    return [item for item in found if label(item, "oneoff").lower() != "true"]


def label(item: Inspected, name: str) -> str:
    """A label of Compose's; empty where the container has none."""
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


def asked(address: str, port: int) -> dict[str, str]:
    """What GET answers on a service's own paths: status and kind of content, by path; silence is left out."""
    found: dict[str, str] = {}
    for path in _ASKED:
        try:
            answer = http.request(address, port, path, seconds=_PATIENCE, body=http.Body.SKIP)
        except OSError:
            return found  # whoever is silent once would only cost the same time again
        kind = answer.headers.get("content-type", "").partition(";")[0].strip()
        found[path] = f"{answer.status} {kind}".strip()
    return found


def _aliases(item: Inspected, network: InspectedNetwork, name: str) -> tuple[str, ...]:
    """The names that others on the network find it by; its short identifier, which changes, is none."""
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
    """As the container was made: a stopped one publishes nothing, and would again."""
    return {
        port: f"{places[0].get('HostIp') or '0.0.0.0'}:{places[0].get('HostPort')}"
        for port, places in bindings.items()
        if places
    }


def _port(text: str) -> int:
    return int(text.partition("/")[0])
