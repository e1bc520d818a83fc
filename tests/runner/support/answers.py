"""What the programs of a healthy VPS print, by the words that their commands begin with, and a way to damage that."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from fabfile.inventory import Site
from fabfile.runner.system.machine import CommandFailed, Machine, Result
from tests.support import fuzz

_IDS = {name: f"{number:x}" * 64 for number, name in enumerate("0123456789abcdef")}
_UNIT = {
    "Id": "x.service", "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "Result": "success",
    "UnitFileState": "enabled", "NRestarts": "0", "MainPID": str(os.getpid()), "ControlGroup": "/x.slice/x.service",
    "NeedDaemonReload": "no", "Environment": "A=1", "UnsetEnvironment": "B",
    "EnvironmentFiles": "/nowhere/islandflow/native.env (ignore_errors=yes)",
}  # fmt: skip
_UFW = """\
Status: active
Logging: on (low)
Default: deny (incoming), allow (outgoing), disabled (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
80,443/tcp (Nginx Full)    ALLOW IN    Anywhere
3000/tcp                   ALLOW IN    172.18.0.0/16              # npm bridge to native web
"""
_ADDED = """\
Added user rules (see 'ufw status' for running firewall):
ufw allow 22/tcp
ufw allow 'Nginx Full'
ufw allow from 172.18.0.0/16 to any port 3000 proto tcp comment 'npm bridge to native web'
ufw deny in on eth0 to any port 81
"""
_RULESET = {
    "nftables": [
        {"metainfo": {"version": "1.0.6"}},
        {"chain": {"family": "inet", "table": "filter", "name": "input", "hook": "input", "policy": "accept"}},
        {"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": [{"jump": {"target": "more"}}]}},
        {"rule": {"family": "inet", "table": "filter", "chain": "more", "expr": [{"drop": None}]}},
    ]
}
_IPTABLES = "-P INPUT ACCEPT\n-N f2b\n-A INPUT -p tcp -j f2b\n-A f2b -s 192.0.2.1/32 -j REJECT\n-A INPUT -j DROP\n"

Answer = str | dict[str, Any] | list[Any]  # text, or what the program prints as JSON


def answers(site: Site) -> dict[str, Answer]:
    """What each program says, JSON as data; the first key that a command begins with counts."""
    project = site.runtimes.docker.project
    containers = [container(site, name) for name in (*site.services, *(server.name for server in site.servers))]
    ids = "".join(f"{container['Id']}\n" for container in containers)
    npm = container(site, "npm")
    npm.update(Name=f"/{site.edge.container}")
    networks = [{"Id": "f" * 64, "IPAM": {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]}}]
    labels = f"docker ps -a --filter label=com.docker.compose.project={project}"
    return {
        f"docker inspect --type container {site.edge.container}": [npm],
        "docker inspect --type container": [*containers, npm],
        f"{labels} --filter label=com.docker.compose.oneoff=False -q": ids,
        f"{labels} --filter label=com.docker.compose.oneoff=False --format": "".join(
            f"{container['Config']['Labels']['com.docker.compose.service']}\t{container['Name'][1:]}\trunning\n"
            for container in containers
        ),
        "docker ps -a -q": ids + npm["Id"],
        "docker ps -a --filter": f"{project}\trunning\n{project}\texited\nother\tpaused\n",
        "docker ps": "web\t127.0.0.1:3000->3000/tcp, [::]:4000-4002->4000-4002/tcp\nplain\t\n",
        "docker network inspect": networks,
        "docker info": {"DockerRootDir": "/var/lib/docker", "SecurityOptions": ["name=seccomp,profile=builtin"]},
        "docker context inspect": "unix:///var/run/docker.sock\n",
        "docker image inspect": "".join(f"sha256:{number}\n" for number in range(3)),
        "docker run": "version 7.2.4 (official build)\n",
        "docker exec": "nginx: configuration file /etc/nginx/nginx.conf test is successful\n",
        "docker logs": "2026-01-01T00:00:00.000000000Z listening, password=hunter2\n",
        "docker compose version": "Docker Compose version v2.26.1\n",
        **{
            start: composed(site)
            for start in (f"docker compose --project-name {project} --project-directory", "docker compose -p")
        },
        "systemctl --user is-system-running": "running\n",
        "systemctl --user show": "",  # by the units that it is called with
        "systemctl show": "",
        "busctl": {"type": "as", "data": ["A=1", "TOKEN=hunter2"]},
        "systemd-analyze security": "".join(f"→ Overall exposure level for {unit}: 1.8 OK\n" for unit in _units(site)),
        "systemd-analyze": "/x/islandflow-web.service:3: Unknown key\n",
        "ufw status": _UFW,
        "ufw show added": _ADDED,
        "ufw app info": "Profile: Nginx Full\nTitle: Web\n\nPorts:\n  80,443/tcp\n",
        "firewall-cmd": "not running\n",
        "nft": _RULESET,
        "iptables": _IPTABLES,
        "git -C": f"{'a' * 40}\n",
        "find": "999:999\n0:0\n",
        "journalctl": "listening\nAuthorization: Bearer hunter2\n",
        "bash": "x.sh: line 3: syntax error\n",
        "sh": "r:/nowhere/islandflow\n",
        "/": "server v=8.0.1\n",
    }


def container(site: Site, name: str) -> dict[str, Any]:
    """`docker inspect` of a service's container, or of a server's."""
    docker, service = site.runtimes.docker, site.services.get(name)
    port = service.port if service else None
    bindings = {f"{port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]} if port else {}
    folder = next((server.data for server in site.servers if server.name == name), "/nowhere/islandflow")
    labels = {"project": docker.project, "service": name, "oneoff": "False", "project.working_dir": docker.directory}
    labels["project.config_files"] = docker.file
    return {
        "Id": _IDS[f"{sum(name.encode()) % 16:x}"],
        "Name": f"/{docker.project}-{name}-1",
        "RestartCount": 0,
        "Config": {
            "Image": f"{name}:1",
            "Labels": {f"com.docker.compose.{key}": value for key, value in labels.items()},
            "Env": ["NATS_URL=nats://app:hunter2@nats:4222", "PATH=/bin"],
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["bun", "run", "src/index.ts"],
            "WorkingDir": f"/app/services/{name}",
            "ExposedPorts": {f"{port}/tcp": {}} if port else None,
            "StopSignal": "SIGTERM",
            "StopTimeout": 10,
        },
        "State": {
            "Status": "running", "Running": True, "Pid": os.getpid(), "StartedAt": "2026-01-01T00:00:00Z",
            "Health": {"Status": "healthy"},
        },
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}, "PortBindings": bindings},
        "NetworkSettings": {
            "Networks": {site.edge.network: {"IPAddress": "127.0.0.1", "Aliases": [name], "DNSNames": [name]}},
            "Ports": bindings,
        },
        "Mounts": [{"Type": "bind", "Source": folder, "Destination": "/data"}],
    }  # fmt: skip


def composed(site: Site) -> dict[str, Any]:
    """`docker compose config` of the app's project."""
    built = {"context": "/nowhere/islandflow", "dockerfile": "Dockerfile", "additional_contexts": {"a": "/nowhere/b"}}
    app = {
        name: {
            "build": built,
            "environment": {"A": "1", "EMPTY": None, "URL": "$$x"},
            "restart": "unless-stopped",
            "extra_hosts": ["a=1"],
            "command": ["run", "--maxmemory 1mb"],
            "networks": {"default": {"aliases": [name]}, "other": None},
            "secrets": [{"source": "a"}],
        }
        for name in site.services
    }
    servers = {
        server.name: {
            "image": server.image,
            "volumes": [{"type": "bind", "source": server.data, "target": server.image_data}],
        }
        for server in site.servers
    }
    return {"name": site.runtimes.docker.project, "services": {**app, **servers}, "networks": {"default": None}}


class Damaged(Machine):
    """Runs nothing: some programs answer with damaged output, fail, or are not there; the others answer well."""

    def __init__(self, folder: Path, told: Mapping[str, Answer], chance: Random) -> None:
        super().__init__(folder, folder / "backups")
        self._told = told
        self._chance = chance
        names = sorted({key.split(" ")[0] for key in told})
        self._broken = {*chance.sample(names, 2), "docker"} if chance.random() < 0.6 else set(names)
        self._share = chance.choice((0.1, 0.3, 0.9))  # of the broken programs' answers

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        timeout: float = 30.0,
        stdin: bytes | None = None,
        ok: tuple[int, ...] | None = (0,),
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Result:
        """Answer as the program might. Raises CommandFailed as the real one does."""
        words, chance = " ".join(argv), self._chance
        key = next((key for key in self._told if words.startswith(key)), "")
        answer = self._told[key] if key else ""
        if "show" in argv[:3] and argv[0] == "systemctl":
            answer = _shown(argv)
        code, out, err = 0, answer if isinstance(answer, str) else json.dumps(answer), ""
        if key.split(" ")[0] in self._broken and chance.random() < self._share:
            if chance.random() < 0.05:
                raise CommandFailed(f"{argv[0]} could not be started") from FileNotFoundError(argv[0])
            out = fuzz.text(chance, answer) if isinstance(answer, str) else fuzz.as_json(chance, answer)
            code = chance.choice((0, 0, 0, 0, 0, 1, 125, -9))
            err = chance.choice(("", "", "Error: No such object: x", "Emulate Docker CLI using podman", out[:200]))
        if ok is not None and code not in ok:
            raise CommandFailed(f"{words} ended with {code}", code=code, said=err or out)
        return Result(tuple(argv), code, out, err)


def _shown(argv: Sequence[str]) -> str:
    """What `systemctl show` prints for its units."""
    names = argv[argv.index("--") + 1 :]
    wanted = next(word for word in argv if word.startswith("--property=")).partition("=")[2].split(",")
    blocks = ({**_UNIT, "Id": name} for name in names)
    return "\n\n".join("\n".join(f"{key}={block[key]}" for key in wanted if key in block) for block in blocks)


def _units(site: Site) -> Iterator[str]:
    yield from (server.unit for server in site.servers)
    yield from (service.unit for service in site.services.values())
