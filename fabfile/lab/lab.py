"""A lab by its name: up, down, back to the baseline, and commands on it for tests and demonstrations."""

from __future__ import annotations

import fcntl
import json
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fabfile.inventory
from fabfile.errors import UsageError
from fabfile.lab import disk, own, slow
from fabfile.lab.baseline import await_app, baseline
from fabfile.lab.choices import Choices
from fabfile.lab.guest import Guest
from fabfile.lab.host import LabError, home, require, say
from fabfile.lab.inventory import NPM_IDENTITY, NPM_SECRET, VPS_PORTS, write_inventory
from fabfile.runner.system.deadline import Deadline

PORT_BLOCKS = range(22000, 32000, 10)


@dataclass(frozen=True)
class Status:
    """The state of one lab. `age` in seconds since it was made, `disk` in bytes of its own."""

    name: str
    up: bool
    pid: int | None
    ports: dict[str, int]
    age: float
    disk: int
    choices: Choices


class Lab:
    """One VPS in a box. Its folder, ports, keys and inventory stay the same through `reset` and `reboot`."""

    def __init__(self, name: str = "lab") -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", name):
            raise UsageError(
                f"\"{name}\" can't be a lab's name",
                next_step="Take lower-case letters, digits and dashes, a letter first.",
            )
        self.name = name
        self.folder = home() / "labs" / name
        self.guest = Guest(self.folder)

    @property
    def inventory(self) -> Path:
        """The inventory whose only host is this lab."""
        return self.folder / "inventory.toml"

    @property
    def ca(self) -> Path:
        """The authority that signed the edge's certificate."""
        return self.folder / "ca.pem"

    @property
    def ports(self) -> dict[str, int]:
        """Ports on 127.0.0.1 by name: ssh, http, npm, https, web, api. They lead to the VPS's public address."""
        ports: dict[str, int] = json.loads((self.folder / "ports.json").read_text())
        return ports

    @property
    def running(self) -> bool:
        """Whether the VPS has power; it may still be booting."""
        return self.guest.init is not None

    @property
    def choices(self) -> Choices:
        """The options that it was made with."""
        return Choices.load(self.folder)

    def up(self, choices: Choices | None = None) -> None:
        """Boot the lab at the baseline, unless it is running already; returns when the app answers from outside.

        Without `choices` it has those that it had before. Raises UsageError where it runs with other ones.
        """
        require()
        if self.running:
            if choices and choices != self.choices:
                raise UsageError(
                    f"{self.name} is up already, as: lab.up {self.choices}".rstrip(),
                    next_step=f"Take it down first (inv lab.down --name {self.name}), or choose another --name.",
                )
            say(f"{self.name} is up already")
            return
        with self._locked():
            self._start(choices or self.choices)

    def reset(self) -> None:
        """Back to the baseline: everything that happened inside is forgotten. An own app is copied as it is now."""
        require()
        with self._locked():
            self._start(self.choices)

    def down(self) -> None:
        """Power the lab off and remove it; a lab that isn't there is down."""
        if not self.folder.exists():
            return
        with self._locked():
            self.guest.power_off()
            shutil.rmtree(self.folder)
        self._lock_path.unlink(missing_ok=True)

    def reboot(self) -> None:
        """Reboot it as `sudo reboot` would; returns when SSH answers again, whatever else does."""
        before = self.guest.init
        self.run(["systemctl", "--no-block", "reboot"])
        self._await("the lab did not reboot", lambda: self.guest.init not in (before, None))
        self.guest.await_boot()
        self._await("SSH did not come back", self._ssh_answers)

    def require_up(self) -> Lab:
        """This lab, if it is running; raises UsageError otherwise."""
        if not self.running:
            raise UsageError(f'no lab "{self.name}" is up', next_step=f"inv lab.up --name {self.name}")
        return self

    def run(self, command: str | Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run shell text or an argument list inside as root; see Guest.run."""
        return self.guest.run(command, **options)

    def ssh(self, *words: str) -> list[str]:
        """The argument list of an ssh client that logs in as the operator would, for a shell or to run `words`."""
        return [
            "ssh", "-i", str(self.folder / "key"), "-p", str(self.ports["ssh"]), "-o", "IdentitiesOnly=yes",
            "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes",
            "delta@127.0.0.1", *words,
        ]  # fmt: skip

    def status(self) -> Status:
        """Its state, for lab.status."""
        age = time.time() - (self.folder / "ports.json").stat().st_mtime
        return Status(
            self.name, self.running, self.guest.supervisor, self.ports, age, disk.own_bytes(self.folder), self.choices
        )

    def guide(self) -> str:
        """Addresses and commands for an operator, once it is up."""
        ports, app = self.ports, self.choices.app or "Islandflow"
        return "\n".join([
            f"{self.name} is up: {app} in Docker Compose behind the edge, on a VPS of its own.",
            f"  shell      {shlex.join(self.ssh())}",
            f"  app        curl --cacert {self.ca} --connect-to ::127.0.0.1:{ports['https']} {self._app_url}",
            f"  ports      {', '.join(f'{name} {port}' for name, port in ports.items())}, all on 127.0.0.1",
            f"  edge's API export NPM_IDENTITY={NPM_IDENTITY} NPM_SECRET={NPM_SECRET}",
            f"  console    {self.folder / 'console.log'}",
            "Next:",
            f"  export ISLANDFLOW_INVENTORY={self.inventory}",
            "  inv status && inv cutover",
        ])  # fmt: skip

    @property
    def _app_url(self) -> str:
        return f"https://{self._site.edge.app_domain}/"

    @property
    def _site(self) -> fabfile.inventory.Site:
        return fabfile.inventory.load(self.inventory, {})

    def _start(self, choices: Choices) -> None:
        """Boot it from the caches and wait until the app answers; keys and ports are made once and kept."""
        if choices.app:
            own.check(choices)
        self.guest.pull_plug()
        base, root = baseline()
        self.folder.mkdir(parents=True, exist_ok=True)
        choices.save(self.folder)
        _reserve_ports(self.folder / "ports.json")
        disk.keys(self.folder, self.ports["ssh"])
        disk.lay_out(self.folder, base.path)
        write_inventory(self.folder, self.ports, choices)
        spec = disk.spec(self.folder, self.name, self.ports, base, root)
        self.guest.boot(spec, [base.lock.fileno(), root.lock.fileno()])
        self.guest.await_boot()
        if choices.app:
            own.install(self.guest, self._site, choices, self.folder)
        else:
            if choices.web_warmup or choices.web_cost:
                slow.web(self.guest, self._site, choices)
            await_app(self.guest, [str(self._site.edge.app_domain), str(self._site.edge.api_domain)])
        self._await("SSH did not answer", self._ssh_answers)
        if choices.cpus:
            self.guest.starve(choices.cpus)

    def _ssh_answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.ports["ssh"]), timeout=2) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _await(self, complaint: str, condition: Any, timeout: float = 60) -> None:
        deadline = Deadline(timeout)
        while not condition():
            if deadline.passed:
                raise LabError(f"{complaint} within {timeout:g} s; its console: {self.folder / 'console.log'}")
            time.sleep(0.1)

    @property
    def _lock_path(self) -> Path:
        return self.folder.with_suffix(".lock")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two commands on the same lab wait for each other."""
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_path.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def labs() -> list[Lab]:
    """Every lab of this machine, running or not, by name."""
    folder = home() / "labs"
    return [Lab(path.parent.name) for path in sorted(folder.glob("*/ports.json"))]


def _reserve_ports(file: Path) -> None:
    """Choose a lab's ports, once; two labs that begin at the same time must not choose the same."""
    if file.exists():
        return
    with (home() / "labs" / ".ports.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file.write_text(json.dumps(_free_ports()) + "\n")


def _free_ports() -> dict[str, int]:
    """A block of ports that no other lab has and no process listens on."""
    used = {port for lab in labs() for port in lab.ports.values()}
    for block in PORT_BLOCKS:
        ports = {name: block + number for number, name in enumerate(VPS_PORTS)}
        if used.isdisjoint(ports.values()) and all(map(_is_free, ports.values())):
            return ports
    raise LabError("no free ports between 22000 and 32000 on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
