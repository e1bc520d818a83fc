"""A checkout of an app with a remote, as a VPS has it, and a machine without systemd; git and builds are real."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from fabfile.runner.facts.gather import gather
from fabfile.runner.system.machine import CommandFailed, Machine, Result
from fabfile.runner.wire.facts import Facts, FactsRequest, Unit
from fabfile.runner.wire.release import Releases, ReleasesRef
from tests.runner.support.run_options import RunOptions

ME = getpass.getuser()
SERVICES = ("api", "web")


class WithoutSystemd(Machine):
    """A machine whose systemd takes every word, and which notes what it starts; its units run."""

    def __init__(self, folder: Path) -> None:
        plan = folder / "ops/plans/the-plan"
        (plan / "backups").mkdir(parents=True)
        super().__init__(folder / "ops", plan / "backups")
        self.started: list[tuple[str, ...]] = []
        self.timeouts: dict[str, float] = {}
        self.docker: dict[str, str] = {}  # the beginning of a command of Docker's → what it prints
        self.input: dict[str, str] = {}  # and of what it got on standard input

    def run(self, argv: Sequence[str], **named: Unpack[RunOptions]) -> Result:
        """As the real one does, systemd's programs excepted."""
        self.started.append(tuple(argv))
        self.timeouts[argv[0]] = named.get("timeout", 30.0)
        if argv[0] == "docker":
            return self._docker(tuple(argv), named.get("stdin"), named.get("ok", (0,)))
        if argv[0] == "systemd-run":
            return Result(tuple(argv), 1, "", "there is no user manager")
        return Result(tuple(argv), 0, "", "") if argv[0] == "systemctl" else super().run(argv, **named)

    def _docker(self, argv: tuple[str, ...], stdin: bytes | None, ok: tuple[int, ...] | None) -> Result:
        words = " ".join(argv[1:])
        key = max((key for key in self.docker if key in words), key=len, default="")
        if stdin:
            self.input[words] = stdin.decode()
        failed = self.docker.get(key, "").startswith("!")
        if failed and ok is not None:
            raise CommandFailed(f"docker {words} ended with 1", said=self.docker[key])
        return Result(argv, int(failed), "" if failed else self.docker.get(key, ""), self.docker.get(key, ""))

    @property
    def of_docker(self) -> list[str]:
        """The commands of Docker's that change something, in order."""
        looks = ("docker ps", "docker images", "docker inspect", "docker image inspect", "docker compose version")
        lines = [" ".join(argv) for argv in self.started if argv[0] == "docker"]
        return [line for line in lines if not line.startswith(looks) and "--format json" not in line]

    @property
    def restarted(self) -> list[str]:
        """The units that were restarted, in order."""
        return [argv[-1] for argv in self.started if argv[0] == "systemctl" and "restart" in argv]


class AppRepository:
    """A checkout at its first commit, which has a tag; its remote has a second one on main, pushed from `desk`."""

    def __init__(self, folder: Path) -> None:
        self.path, self.origin, self.desk = folder / "flow", folder / "origin.git", folder / "desk"
        self.env = folder / "flow.env"
        self.env.write_text("NEXT_PUBLIC_URL=https://flow.example.org\nSECRET=hidden\n")
        (self.desk / "apps/web").mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", at=self.desk)
        self.first = self.commit("one", at=self.desk)
        self.git("tag", "--annotate", "v1", "--message", "the first", at=self.desk)
        self.git("clone", "--quiet", "--bare", str(self.desk), str(self.origin), at=self.desk)
        self.git("clone", "--quiet", str(self.origin), str(self.path), at=self.desk)
        self.git("remote", "add", "origin", str(self.origin), at=self.desk)
        self.second = self.commit("two", at=self.desk)
        self.git("push", "--quiet", "origin", "main", at=self.desk)
        self.ref = ReleasesRef(str(self.path), str(folder / "flow.releases"), ME, SERVICES, project="flow")

    def git(self, *words: str, at: Path | None = None) -> str:
        """What git says in the checkout, or in another one."""
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        argv = ["git", "-C", str(at or self.path), *who, *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, content: str, at: Path | None = None) -> str:
        """One more commit in the checkout, or in another one."""
        folder = at or self.path
        (folder / "code").write_text(content)
        (folder / "apps/web/page").write_text(content)
        self.git("add", ".", at=folder)
        self.git("commit", "--quiet", "--message", f"Write {content}", at=folder)
        return self.git("rev-parse", "HEAD", at=folder)

    def releases(self, machine: Machine) -> Releases:
        """The releases as a survey has them."""
        return gather(machine, FactsRequest(releases=self.ref)).releases

    def facts(self, machine: Machine, *, running: bool = True) -> Facts:
        """The same with the checkout, and both services' units."""
        found = gather(machine, FactsRequest(releases=self.ref, checkout=str(self.path), user=ME))
        state = ("active", "running") if running else ("inactive", "dead")
        units = {
            f"{n}.service": Unit(f"{n}.service", "loaded", *state, "enabled", 0, 7, "", "", False) for n in SERVICES
        }
        return Facts(releases=found.releases, checkout=found.checkout, user_units=units)

    def serves(self, service: str) -> str:
        """The code that a service runs from its link."""
        return Path(self.ref.link(service), "code").read_text()
