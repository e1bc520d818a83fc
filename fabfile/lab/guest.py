"""A booted VPS from the host's side: its first process, and commands run inside as its root."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fabfile.lab.host import LabError
from fabfile.lab.supervisor import SYSTEMD_HOST
from fabfile.runner.system import procs
from fabfile.runner.system.deadline import Deadline

SUPERVISOR = Path(__file__).with_name("supervisor.py")
# A session's scope can't carry a container: where the host has systemd, it gives the lab one that can.
SCOPE = ["systemd-run", "--scope", "--quiet", "--collect", "--property=Delegate=yes"] if SYSTEMD_HOST else []
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
PERIOD = 100_000  # µs in which a starved lab may use up its share, the kernel's own default


@dataclass(frozen=True)
class Guest:
    """The VPS of one state folder. The folder holds machine.json (what to boot) and supervisor.json (who runs it)."""

    state: Path

    def boot(self, spec: dict[str, Any], locks: Sequence[int] = ()) -> None:
        """Start the supervisor, which outlives this process and inherits the open `locks`; returns at once."""
        (self.state / "machine.json").write_text(json.dumps(spec, indent=2) + "\n")
        with (self.state / "console.log").open("ab") as console:
            process = subprocess.Popen(
                [*SCOPE, sys.executable, str(SUPERVISOR), str(self.state)],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True, pass_fds=locks,
                cwd="/",
            )  # fmt: skip
        identity = {"pid": process.pid, "started": _started(process.pid)}
        (self.state / "supervisor.json").write_text(json.dumps(identity) + "\n")

    @property
    def supervisor(self) -> int | None:
        """The supervisor's pid if it lives; another process that got the same pid later does not count."""
        try:
            identity = json.loads((self.state / "supervisor.json").read_text())
        except FileNotFoundError:
            return None
        pid = int(identity["pid"])
        return pid if _started(pid) == identity["started"] else None

    @property
    def init(self) -> int | None:
        """The pid, on this machine, of the VPS's first process; None while it isn't there."""
        supervisor = self.supervisor
        for nspawn in _children(supervisor) if supervisor else []:
            for child in _children(nspawn):
                if _name(child) == "systemd":
                    return child
        return None

    def run(
        self,
        command: str | Sequence[str],
        *,
        stdin: str | IO[bytes] | None = None,
        check: bool = True,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run shell text or an argument list inside, as root, and wait for it (`timeout` in seconds).

        Raises LabError when the VPS is down and, unless `check` is off, when the command fails.
        """
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        argv = self.enter(words)
        source: dict[str, Any] = {"input": stdin} if isinstance(stdin, str) else {"stdin": stdin or subprocess.DEVNULL}
        result = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT, **source)
        if check and result.returncode:
            raise LabError(
                f"in the lab, exit {result.returncode}: {command}\n{(result.stdout + result.stderr).strip()[-3000:]}"
            )
        return result

    def write(self, path: str, content: bytes, *, owner: str = "root:root", mode: int = 0o644) -> None:
        """Write one file inside, making its folder (the owner's too) if it isn't there."""
        user = owner.split(":")[0]
        folder = path.rpartition("/")[0]
        with tempfile.TemporaryFile() as source:
            source.write(content)
            source.seek(0)
            self.run(["sudo", "-u", user, "mkdir", "-p", folder])
            script = 'umask 077; cat >"$0.new" && chown "$1" "$0.new" && chmod "$2" "$0.new" && mv "$0.new" "$0"'
            self.run(["sh", "-c", script, path, owner, f"{mode:o}"], stdin=source)

    def unpack(self, folder: Path, target: str, *, owner: str, timeout: float = 600) -> None:
        """Copy the contents of a folder of this machine into `target` inside; all of it will be `owner`'s."""
        self.run(["sudo", "-u", owner, "mkdir", "-p", target])
        pack = ["tar", "-c", "-C", str(folder), "."]
        with subprocess.Popen(pack, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as packing:
            assert packing.stdout
            self.run(
                ["sudo", "-u", owner, "tar", "-x", "-C", target, "--no-same-owner", "--no-overwrite-dir"],
                stdin=packing.stdout,
                timeout=timeout,
            )

    def await_boot(self, timeout: float = 240) -> None:
        """Wait until systemd inside has started everything; raises LabError after `timeout` seconds."""
        deadline = Deadline(timeout)
        while not deadline.passed and self.supervisor:
            if self.init:
                state = self.run(["systemctl", "is-system-running"], check=False).stdout.strip()
                # Degraded: loading kernel modules always fails inside, and means nothing there.
                if state in ("running", "degraded"):
                    return
            time.sleep(0.1)
        raise LabError(f"the lab did not boot; its console: {self.state / 'console.log'}")

    def enter(self, words: Sequence[str]) -> list[str]:
        """The argument list that runs `words` inside as root."""
        init = self.init
        if init is None:
            raise LabError(f"the lab is not running: {self.state}")
        return ["nsenter", f"--target={init}", "--all", "--root", "--wd", *words]

    def power_off(self, timeout: float = 40) -> None:
        """Shut the VPS down as its own administrator would; when that takes too long, pull the plug."""
        supervisor = self.supervisor
        if supervisor is not None and self.init is not None:
            self.run(["systemctl", "--no-block", "poweroff"], check=False)
            _await_end(supervisor, timeout)
        self.pull_plug()

    def pull_plug(self) -> None:
        """End the VPS and its supervisor at once, as a power cut would; nothing of a stopped one is left behind."""
        supervisor, groups = self.supervisor, self._cgroups
        if supervisor is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(supervisor, signal.SIGKILL)
        for group in groups:
            _end_group(group)
        for name in ("supervisor.json", "cgroup"):
            (self.state / name).unlink(missing_ok=True)

    def starve(self, cpus: float | None) -> None:
        """Give the whole VPS so many of this machine's processors from now on, all of them if None.

        Raises LabError where that can't be: without control groups, or where this process itself is given fewer.
        """
        quotas = {"cpu.max": ("max", f"{{}} {PERIOD}"), "cpu.cfs_quota_us": ("-1", "{}")}
        limits = [(group / name, *texts) for group in self._cgroups for name, texts in quotas.items()]
        for file, unlimited, limited in limits:
            if file.exists():
                try:
                    file.write_text(unlimited if cpus is None else limited.format(round(cpus * PERIOD)))
                except OSError as error:  # version 1 gives a child no more than its parent has
                    amount = "all CPUs" if cpus is None else f"{cpus:g} CPUs"
                    raise LabError(f"this machine can't give a lab {amount} ({error}): use fewer") from error
                return
        raise LabError("this machine's control groups can't limit a lab's processors: leave --cpus out")

    @property
    def _cgroups(self) -> list[Path]:
        """The control groups that hold the VPS, the supervisor's own first; they outlive the supervisor."""
        with contextlib.suppress(FileNotFoundError):
            return [Path(line) for line in (self.state / "cgroup").read_text().splitlines()]
        return []


def _await_end(pid: int, timeout: float) -> None:
    """Wait until a process is gone, or for `timeout` seconds."""
    deadline = Deadline(timeout)
    while _started(pid) is not None and not deadline.passed:
        time.sleep(0.05)


def _end_group(group: Path, timeout: float = 20) -> None:
    """Kill every process of a control group and those below it, until none is left, and remove them."""
    deadline = Deadline(timeout)
    while group.exists():
        if deadline.passed:
            raise LabError(f"processes of the lab can't be ended: {group}")
        for path in sorted(group.rglob("cgroup.procs"), reverse=True):
            with contextlib.suppress(OSError):  # a process or a group that ended meanwhile; else the loop sees it again
                for pid in path.read_text().split():
                    os.kill(int(pid), signal.SIGKILL)
                path.parent.rmdir()
        time.sleep(0.02)


def _started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it is gone or only its exit status is left."""
    process = procs.process(pid)
    return process.ticks if process and not process.ended else None


def _children(pid: int) -> list[int]:
    """The children of all of a process's threads."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
