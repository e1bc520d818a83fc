"""Three ways to hand the app over on a lab: the tool's, the original's by hand, and the bare minimum of either."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabfile import workloads
from fabfile.inventory import Service, Site
from fabfile.lab.lab import Lab
from fabfile.runner.system import docker

EDGE_COPIES = "/root/bench"  # on the lab: copies of the edge's files and database for each runtime
TIMEOUT_SECONDS = 900  # for one command


class BenchError(Exception):
    """The measured command failed: there are no figures."""


@dataclass(frozen=True)
class Timing:
    """How long a hand-over by hand took, in seconds."""

    stop: float
    start: float
    answering: float  # from the last command until web and API answer

    @property
    def whole(self) -> float:
        """From the first command until the app answers again."""
        return self.stop + self.start + self.answering


class Tool:
    """The tool, as an operator runs it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def run(self, *words: str) -> list[dict[str, Any]]:
        """Run a plan to its end; returns its journal's events. Raises BenchError when it fails."""
        lines = self._json(*words)
        plan = next((line["plan"] for line in lines if "step" in line), "")
        if not plan:
            raise BenchError(f"islandflow {' '.join(words)} had nothing to do: is the lab at its baseline?")
        return [line for line in self._json("history", "--plan", plan) if "step" in line]

    def owner(self) -> str:
        """The runtime that owns the app."""
        return next(str(line["owner"]) for line in self._json("status") if line["kind"] == "status")

    def _json(self, *words: str) -> list[dict[str, Any]]:
        sure = ["--yes"] if words[0] in ("cutover", "rollback", "deploy") else []
        command = [str(Path(sys.executable).with_name("islandflow")), *words, *sure, "--json"]
        variables = os.environ | {"ISLANDFLOW_INVENTORY": str(self._lab.inventory)}
        result = subprocess.run(
            command, capture_output=True, text=True, env=variables, timeout=TIMEOUT_SECONDS, stdin=subprocess.DEVNULL
        )
        if result.returncode:
            raise BenchError(f"islandflow {' '.join(words)} ended with {result.returncode}:\n{result.stderr.strip()}")
        return [json.loads(line) for line in result.stdout.splitlines()]


class ByHand:
    """The same servers and services, stopped and started in a row by whoever sits at the VPS: no plan, no checks."""

    def __init__(self, lab: Lab, site: Site) -> None:
        self._lab, self._site = lab, site
        self._compose = docker.compose(workloads.project(site))
        self._services = [service.name for service in site.scope("full")]
        self._servers = [server.name for server in site.servers]
        self._user = ["systemctl", "--user", f"--machine={site.app.user}@"]
        self._units = [service.unit for service in site.scope("full")]
        self._server_units = [server.unit for server in site.servers]

    def keep_edge(self, runtime: str) -> None:
        """Keep the edge's database and files as they are, to be what `switch` writes for this runtime."""
        folder = f"{EDGE_COPIES}/{runtime}"
        self._run(["mkdir", "-p", folder])
        self._run(["cp", self._site.edge.database, *self._edge_files, folder])

    def bare(self, to: str) -> Timing:
        """Stop and start, nothing else: the edge keeps its upstreams, and no health check is awaited."""
        return self._hand_over(to, between=lambda: None, bare=True)

    def restart(self, runtime: str, service: Service) -> float:
        """Restart one service, in Docker its container made anew; returns the seconds until it answers."""
        began = time.monotonic()
        if runtime == "native":
            self._run([*self._user, "restart", service.unit])
        else:
            self._run([*self._compose, "up", "--detach", "--no-deps", "--force-recreate", service.name])
        self._await(runtime, (service,))
        return time.monotonic() - began

    def original(self, to: str) -> Timing:
        """As the original's scripts: the edge is restarted with rewritten files, at the end or before Docker starts."""
        if to == "docker":
            return self._hand_over(to, between=lambda: self._switch(to))
        timing = self._hand_over(to, between=lambda: None)
        self._switch(to)
        return timing

    def _hand_over(self, to: str, between: Callable[[], None], *, bare: bool = False) -> Timing:
        began = time.monotonic()
        self._stop("docker" if to == "native" else "native")
        stopped = time.monotonic()
        self._change_owner(to)
        between()
        self._start(to, bare)
        started = time.monotonic()
        self._await(to, (self._site.web, self._site.api))
        return Timing(stopped - began, started - stopped, time.monotonic() - started)

    def _stop(self, runtime: str) -> None:
        if runtime == "docker":
            self._run([*self._compose, "stop", *self._services])
            self._run([*self._compose, "stop", *self._servers])
        else:
            self._run([*self._user, "stop", *self._units])
            self._run(["systemctl", "stop", *self._server_units, self._site.seal_unit])  # sealed, nobody could own it

    def _start(self, runtime: str, bare: bool) -> None:
        """By hand Docker is `compose up`, which waits for the app's own health checks, half a minute apart."""
        if runtime == "docker" and bare:
            project = self._site.runtimes.docker.project
            self._run(["docker", "start", *(f"{project}-{name}-1" for name in (*self._servers, *self._services))])
        elif runtime == "docker":
            self._run([*self._compose, "up", "--detach"])
        else:
            self._run(["systemctl", "start", *self._server_units])
            self._run([*self._user, "start", *self._units])

    def _change_owner(self, to: str) -> None:
        """The data to the new owner's servers; the original had it done by hand, after its first failure."""
        for server in self._site.servers:
            owner = f"{server.user}:{server.group}" if to == "native" else server.image_user
            self._run(["chown", "-R", owner, server.data])
        self._run(["tee", self._site.app.owner_file], stdin=f"{to}\n")

    def _switch(self, to: str) -> None:
        """Both hosts' rows and files rewritten, then the whole edge restarted."""
        for target in (self._site.edge.database, *self._edge_files):
            self._run(["cp", f"{EDGE_COPIES}/{to}/{target.rpartition('/')[2]}", target])
        self._run(["docker", "restart", self._site.edge.container])

    def _await(self, runtime: str, services: Sequence[Service]) -> None:
        """Wait until services answer where the runtime listens; requests are 20 ms apart."""
        bridge = ["docker", "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
        address = "127.0.0.1"
        if runtime == "native":
            address = self._run([*bridge, self._site.edge.network]).strip()
        probe = "curl --silent --fail --max-time 2 --output /dev/null"
        probes = [f"{probe} http://{address}:{s.port}{s.health}" for s in services]
        self._run(["sh", "-c", f"until {' && '.join(probes)}; do sleep 0.02; done"])

    @property
    def _edge_files(self) -> tuple[str, ...]:
        return tuple(f"{self._site.edge.root}/data/nginx/proxy_host/{number}.conf" for number in (1, 2))

    def _run(self, words: Sequence[str], **options: Any) -> str:
        return str(self._lab.run(list(words), timeout=TIMEOUT_SECONDS, **options).stdout)


def third_host(lab: Lab, site: Site) -> str:
    """A fingerprint of the edge's host that is none of ours: its row and its generated file."""
    row = lab.run(["sqlite3", site.edge.database, "SELECT * FROM proxy_host WHERE id = 3"]).stdout
    return str(row + lab.run(["sha256sum", f"{site.edge.root}/data/nginx/proxy_host/3.conf"]).stdout)
