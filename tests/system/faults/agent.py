"""Stands inside the VPS beside a plan. Run there as a script, standard library only.

It reads the plan's journal as it grows and stops the runner's process (SIGSTOP) as the chosen step begins, so that a
fault is in place before the step acts; and again at the event after it, where the fault is to be lifted before anything
is reverted. A command is on its way sooner than a process is stopped: that it shall fail is said in the same moment.
All the while it looks who runs: both runtimes at once are told at once.

One JSON object as the argument says what to watch for; lines of JSON on standard output say what was seen; a line on
standard input lets the runner go on; its end ends this.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

PLANS = Path("/var/lib/islandflow/ops/plans")
CGROUPS = Path("/sys/fs/cgroup")
CONTAINERS = Path("/var/lib/docker/containers")
ARMED = Path("/run/faults/armed")  # while it is there, commands that change something fail
POLL, LOOK = 0.001, 0.05  # seconds between two looks at the journal, and at who runs
PASSING = ("grep", "(grep)", "systemd-executo")  # a unit that is not the owner's runs its condition, and nothing else


def tell(**line: Any) -> None:
    print(json.dumps(line), flush=True)


class Owners:
    """Who runs the API, the workers and the servers, read from the control groups.

    Who is started by hand counts once it has lived for `grace` seconds: a container that finds the data sealed ends
    before, and so does the condition of a unit that is not the owner's.
    """

    def __init__(self, units: list[str], project: str, services: list[str], grace: float) -> None:
        self._units, self._project, self._services, self._grace = units, project, services, grace
        self._alive_since: dict[str, float] = {}
        self._known: dict[str, str] = {}  # container → what it is called, empty for somebody else's
        self._told: set[str] = set()

    def look(self) -> None:
        units = [unit for unit in self._units if any(map(_alive, _groups(unit)))]
        alive = [name for name in map(self._container, CGROUPS.glob("system.slice/docker-*.scope")) if name]
        now = time.monotonic()
        self._alive_since = {name: self._alive_since.get(name, now) for name in (*units, *alive)}
        lasting = {name for name, since in self._alive_since.items() if now - since >= self._grace}
        native, docker = lasting.intersection(units), lasting.intersection(alive)
        both = f"{', '.join(sorted(native))} beside the containers {', '.join(sorted(docker))}"
        if native and docker and both not in self._told:
            self._told.add(both)
            tell(both=both)

    def _container(self, group: Path) -> str:
        name = group.name.removeprefix("docker-").removesuffix(".scope")
        if name not in self._known:
            try:
                labels = json.loads((CONTAINERS / name / "config.v2.json").read_text())["Config"]["Labels"]
            except (OSError, ValueError):  # it is just being made, or removed
                return ""
            own = labels.get("com.docker.compose.project") == self._project
            service = labels.get("com.docker.compose.service", "")
            self._known[name] = service if own and service in self._services else ""
        return self._known[name] if self._known[name] and _alive(group) else ""


def _groups(unit: str) -> list[Path]:
    users = CGROUPS.glob(f"user.slice/user-*.slice/user@*.service/app.slice/{unit}")
    return [CGROUPS / "system.slice" / unit, *users]


def _alive(group: Path) -> bool:
    with contextlib.suppress(OSError):
        for pid in (group / "cgroup.procs").read_text().split():
            if Path(f"/proc/{pid}/comm").read_text().strip() not in PASSING:
                return True
    return False


class Story:
    """The journal of the plan that comes next, and the process that writes it."""

    def __init__(self, known: list[str]) -> None:
        self._known, self._at = set(known), 0
        self.plan = ""

    def more(self) -> list[dict[str, Any]]:
        if not self.plan:
            with contextlib.suppress(FileNotFoundError):
                self.plan = next((name for name in os.listdir(PLANS) if name not in self._known), "")
        if not self.plan:
            return []
        try:
            with open(PLANS / self.plan / "journal.jsonl", "rb") as file:
                file.seek(self._at)
                added = file.read()
        except FileNotFoundError:
            return []
        lines = added[: added.rfind(b"\n") + 1]
        self._at += len(lines)
        return [json.loads(line) for line in lines.splitlines() if line]

    def hold(self) -> None:
        """Stop the runner alone, not the commands that it runs: before its exec a child has the runner's own words."""
        for pid in self._pids():
            with contextlib.suppress(OSError):
                if "\nPPid:\t1\n" in Path(f"/proc/{pid}/status").read_text():
                    os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let everything of the plan go on."""
        for pid in self._pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        group = CGROUPS / f"system.slice/islandflow-execute-{self.plan}.service"
        with contextlib.suppress(OSError):
            return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
        return []


class Watch:
    """Where the runner is held: at the step's beginning (or `delay` seconds into it), then at the next event."""

    def __init__(self, story: Story, step: str, delay: float, lift: bool) -> None:
        self._story, self._step, self._delay = story, step, delay
        self._due = float("inf")
        self._awaited = ["step", "next"] if lift else ["step"]
        self._passed: dict[str, Any] = {}
        self.held = False

    def look(self) -> None:
        for event in self._story.more():
            self._take(event)
        if self._awaited[:1] == ["step"] and (time.monotonic() >= self._due or self._passed):
            self._hold(late=bool(self._passed))
        elif self._awaited[:1] == ["next"] and self._passed:
            self._hold(event=self._passed["kind"])

    def go_on(self) -> None:
        self.held = False
        self._story.go_on()

    def _take(self, event: dict[str, Any]) -> None:
        own, kind = event["step"] == self._step, event["kind"]
        begun = self._due < float("inf")
        if not begun and own and kind == "start":
            if len(self._awaited) > 1:  # a fault of this step alone: its first command is on its way already
                ARMED.touch()
            self._due = time.monotonic() + self._delay
        elif not begun and (kind == "finished" or (own and kind == "noop")):
            tell(at="missed", plan=self._story.plan, event=event)
            self._awaited = []
        elif begun and kind != "outage":
            self._passed = event

    def _hold(self, **facts: Any) -> None:
        self._story.hold()
        self.held = True
        tell(at=self._awaited.pop(0), plan=self._story.plan, **facts)


def main(wanted: dict[str, Any]) -> None:
    owners = Owners(wanted["units"], wanted["project"], wanted["services"], wanted["grace"])
    watch = Watch(Story(wanted["known"]), wanted["step"], wanted["delay"], wanted["lift"])
    tell(at="watching")
    looked = 0.0
    while True:
        if select.select([sys.stdin], [], [], POLL)[0]:
            if not sys.stdin.readline():
                return
            watch.go_on()
        if time.monotonic() - looked > LOOK:
            looked = time.monotonic()
            owners.look()
        if not watch.held:
            watch.look()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
