"""The agent inside the VPS, as the test outside sees it; and other looks into the VPS."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from fabfile import workloads
from fabfile.inventory import Site
from fabfile.lab.host import LabError
from fabfile.lab.lab import Lab
from tests.system.faults.kinds import OPS

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
