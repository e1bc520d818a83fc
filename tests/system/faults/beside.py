"""The agent inside the VPS, as the test outside sees it; and other looks into the VPS."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fabfile import workloads
from fabfile.inventory import Site
from fabfile.lab.host import LabError
from fabfile.lab.lab import Lab
from tests.system.faults.kinds import OPS

ACCOUNTS = "/etc/passwd"  # system users that a plan has made stay: they change nothing
HERE = Path(__file__).parent
Event = dict[str, Any]


class Agent:
    """One agent; it ends with `close`, or with the VPS."""

    def __init__(
        self, lab: Lab, site: Site, step: str = "", delay: float = 0.0, lift: bool = False, grace: float = 0.0
    ) -> None:
        own = workloads.of_servers(site, "native") + workloads.of_services(site, "native", site.scope("services"))
        wanted = {
            "units": [workload.unit for workload in own],
            "services": [workload.name for workload in own],
            "project": site.runtimes.docker.project,
            **{"step": step, "delay": delay, "lift": lift, "grace": grace, "known": plans(lab)},
        }
        source = (HERE / "agent.py").read_text()
        self._process = subprocess.Popen(
            lab.guest.enter(["/usr/bin/python3", "-I", "-c", source, json.dumps(wanted)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.both: list[str] = []
        self._told: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.next(20)  # it watches

    def next(self, seconds: float) -> dict[str, Any] | None:
        """What it tells next of the plan; None when it has ended, or after `seconds`."""
        try:
            return self._told.get(timeout=seconds)
        except queue.Empty:
            return None

    def go_on(self) -> None:
        """Let the runner go on."""
        assert self._process.stdin
        with contextlib.suppress(OSError):  # the VPS has gone down meanwhile
            self._process.stdin.write("go on\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """End it, and the runner goes on."""
        assert self._process.stdin
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            told = json.loads(line)
            if "both" in told:
                self.both.append(told["both"])
            else:
                self._told.put(told)
        self._told.put(None)


def plans(lab: Lab) -> list[str]:
    """The plans that the VPS knows."""
    return lab.run(f"ls {OPS}/plans 2>/dev/null || true").stdout.split()


def journal(lab: Lab, plan: str) -> list[Event]:
    """A plan's events so far."""
    lines = lab.run(f"cat {OPS}/plans/{plan}/journal.jsonl", check=False).stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def ended(lab: Lab, plan: str, seconds: float) -> list[Event]:
    """The events of a plan once it has come to its end and its runner is gone, or after `seconds` whatever there is."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            events = journal(lab, plan)
            free = lab.run(f"flock --nonblock {OPS}/lock true", check=False).returncode == 0
        except LabError:  # it is booting
            events, free = [], False
        if (events and events[-1]["kind"] == "finished" and free) or time.monotonic() > deadline:
            return events
        time.sleep(0.3)


def rebooted(lab: Lab, before: int | None, seconds: float = 90) -> None:
    """Wait until commands can be run in the VPS that has booted after the one whose first process was `before`."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(LabError):
            if lab.guest.init not in (before, None) and lab.run(["true"], check=False).returncode == 0:
                return
        assert time.monotonic() < deadline, "the VPS did not come back"
        time.sleep(0.1)


def traces(lab: Lab, site: Site) -> dict[str, str]:
    """What plans may leave behind on the VPS, as traces.py finds it."""
    app, docker, edge = site.app, site.runtimes.docker, site.edge
    configured = ["/etc/islandflow", "/etc/systemd/system", app.unit_directory]
    files = ["/etc/islandflow/**", "/etc/systemd/system/**/islandflow-*", f"{app.unit_directory}/**", docker.file]
    files += [docker.overlay_file, docker.env_file, app.owner_file, ACCOUNTS, "/etc/ufw/user.rules"]
    files += [f"{edge.root}/data/nginx/proxy_host/*.conf"]
    wanted = {
        "files": files,
        "owner_file": app.owner_file,
        "folders": [server.data for server in site.servers],
        "roots": [*configured, app.data_root, f"{edge.root}/data/nginx"],
        "database": edge.database,
        "user": app.user,
    }
    source = (HERE / "traces.py").read_text()
    found: dict[str, str] = json.loads(lab.run(["/usr/bin/python3", "-I", "-c", source, json.dumps(wanted)]).stdout)
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> Iterable[str]:
    """Where two states differ, in words."""
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key) and key != ACCOUNTS:
            yield f"{key} was {before.get(key, 'not there')}, is {after.get(key, 'not there')}"
