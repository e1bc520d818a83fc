"""Fetches a commit and builds it in a directory of its own, beside what runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

from ...facts.environment import env_file
from ...releases import register
from ...releases.reading import size, unbuilt
from ...system import git, systemd
from ...system.machine import CommandFailed, Evidence, Machine, StepFailed
from ...wire.app import Compose
from ...wire.codec import wire
from ...wire.facts import Facts, FactsRequest
from ...wire.release import BAD, Release, ReleasesRef
from ...wire.terms import Runtime
from ..before import Before, texts
from .base import ReleaseAction

_GIT_SECONDS = 300.0  # for fetching, and for writing or removing a directory of many files

# What a build may have is what the app leaves. The scope puts it beside the app's own units, in their user's manager,
# since systemd weighs processors and disks only between units of one slice; `nice` serves where systemd does not.
_LOW = ("--property=CPUWeight=1", "--property=IOWeight=1")
_SCOPE = ("systemd-run", "--user", "--scope", "--quiet", "--collect", *_LOW)
_UNIT = "islandflow-build"  # by its name what a killed runner left is ended: it outlives the runner's own unit
_NICE = ("nice", "-n", "19", "ionice", "-t", "-c", "3")


@wire
@dataclass(frozen=True)
class Command:
    """A command in a folder of the release, with its own deadline (seconds), and variables of an env file.

    `env` names them, all that begin so with a * at the end. Their values are read when the command starts, on the VPS,
    as Compose reads them, so that none travels in a plan.
    """

    folder: str  # relative to the release; "." is the release itself
    argv: tuple[str, ...]
    timeout: float = 600.0
    env_file: str = ""
    env: tuple[str, ...] = ()
    project: Compose | None = None  # whose variables the env file may name

    def variables(self) -> dict[str, str]:
        """Return the variables and their values. Raises StepFailed where the env file can't be read."""
        if not self.env_file:
            return {}
        try:
            values = env_file(self.env_file, self.project)
        except (OSError, ValueError) as error:
            raise StepFailed(f"{self.env_file}, with the build's variables, can't be read: {error}") from error
        return {name: value for name, value in values.items() if any(_matches(name, pattern) for pattern in self.env)}


@wire
@dataclass(frozen=True)
class FetchCommit(ReleaseAction):
    """Fetches a commit into the checkout's repository; its files and its branches stay as they are."""

    commit: str

    def required_facts(self) -> FactsRequest:
        return FactsRequest(releases=replace(self.releases, ref=self.commit))

    def noop_reason(self, facts: Facts) -> str:
        return f"the checkout has {self.commit[:12]}" if facts.releases.present else ""

    def apply(self, machine: Machine, before: Before) -> Evidence:
        git.fetch(machine, self.releases.checkout, self.releases.user, self.commit, _GIT_SECONDS)
        return {"fetched": self.commit}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return {"kept": self.commit}

    def describe(self) -> str:
        return f"fetch {self.commit[:12]} into {self.releases.checkout}"


@wire
@dataclass(frozen=True)
class BuildRelease(ReleaseAction):
    """Makes a commit's own directory: a work tree of the checkout, with the dependencies that the command installs.

    `leaves` is the path, relative to the release, that must be there afterwards.
    """

    commit: str
    install: Command
    leaves: str = ""

    def noop_reason(self, facts: Facts) -> str:
        release = facts.releases.find("native", self.commit)
        if self._directory in facts.releases.live.values():
            return f"{self._directory} is in use"  # whatever is known of it, it must stay
        built = release is not None and release.built and release.state != BAD
        return f"{self._directory} is there" if built else ""

    def apply(self, machine: Machine, before: Before) -> Evidence:
        check_out(machine, self.releases, self.commit, self.commit)
        taken = run_command(machine, self.releases, self.commit, self.install, self.leaves)
        note(machine, "native", self.commit, lambda known: replace(known, built=True, size=taken))
        return {"made": self._directory, "bytes": taken}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        note(machine, "native", self.commit, unbuilt)
        discard(machine, self.releases, self.commit)
        return {"removed": self._directory}

    @property
    def _directory(self) -> str:
        return self.releases.directory(self.commit)

    def describe(self) -> str:
        return f"check out {self.commit[:12]} in {self._directory}, and install its dependencies"


@wire
@dataclass(frozen=True)
class BuildService(ReleaseAction):
    """Builds a service in a release's directory. `leaves` is the path in it that must be there afterwards."""

    commit: str
    service: str
    build: Command
    leaves: str = ""

    def noop_reason(self, facts: Facts) -> str:
        release = facts.releases.find("native", self.commit)
        live = facts.releases.live.get(self.service) == self.releases.directory(self.commit)
        built = release is not None and self.service in release.builds and release.state != BAD
        return f"{self.service} is built" if built or live else ""

    def snapshot(self, facts: Facts) -> Before:
        release = facts.releases.find("native", self.commit)
        return {"builds": list(release.builds) if release else []}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        taken = run_command(machine, self.releases, self.commit, self.build, self.leaves)
        name = self.service
        note(machine, "native", self.commit, lambda known: replace(known, builds=(*known.builds, name), size=taken))
        return {"built": self.service, "bytes": taken}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        others = [name for name in texts(before, "builds") if name != self.service]
        note(machine, "native", self.commit, lambda known: replace(known, builds=tuple(others)))
        return {"kept": f"what the build of {self.service} wrote; the next one writes it anew"}

    def describe(self) -> str:
        return f"build {self.service} in {self.releases.directory(self.commit)}"


def check_out(machine: Machine, ref: ReleasesRef, commit: str, name: str) -> None:
    """Check a commit out in a directory of that name among the releases; what lies there is removed.

    Raises CommandFailed.
    """
    discard(machine, ref, name)
    machine.run(["mkdir", "-p", "--", ref.folder], user=ref.user)
    words = ("worktree", "add", "--quiet", "--force", "--detach", ref.directory(name), commit)
    git.run(machine, ref.checkout, ref.user, *words, timeout=_GIT_SECONDS)


def discard(machine: Machine, ref: ReleasesRef, name: str) -> None:
    """Remove a release's directory, whole or half-built, as its user; first end a build that still writes to it.

    Raises CommandFailed.
    """
    machine.run(
        [*systemd.systemctl(ref.user), "stop", "--", f"{_UNIT}-*.scope"], user=ref.user, timeout=_GIT_SECONDS, ok=None
    )
    machine.run(["rm", "-rf", "--", ref.directory(name)], user=ref.user, timeout=_GIT_SECONDS)
    git.run(machine, ref.checkout, ref.user, "worktree", "prune")


def run_command(machine: Machine, ref: ReleasesRef, name: str, command: Command, leaves: str = "") -> int:
    """Run a command in a release, with what the app leaves of processors and disks; returns the release's bytes.

    Raises CommandFailed, which names the command without the words that put it in the background; StepFailed where it
    did not leave what it should.
    """
    words, directory = " ".join(command.argv), Path(ref.directory(name))
    folder, environment, prefix = (
        str(directory / command.folder),
        command.variables(),
        _in_background(machine, ref.user),
    )
    argv, limit = [*prefix, *command.argv], command.timeout
    try:
        result = machine.run(argv, user=ref.user, cwd=folder, timeout=limit, env=environment, ok=None)
    except CommandFailed as error:
        raise CommandFailed(str(error).replace(prefix[0], words, 1), argv=list(command.argv)) from error
    if result.code:
        code, said = result.code, result.excerpt
        raise CommandFailed(f"{words} ended with {code} in {folder}", code=code, said=said, argv=list(command.argv))
    if leaves and not (directory / leaves).exists():
        raise StepFailed(f"{words} left no {leaves} in {directory}", said=result.excerpt)
    return size(machine, str(directory))


def note(machine: Machine, runtime: Runtime, commit: str, change: Callable[[Release], Release]) -> None:
    """Change what the register says of a release that is being deployed. Raises OSError."""
    known = register.read(machine.ops, runtime, commit)
    if known:
        register.write(machine.ops, change(known))


def _in_background(machine: Machine, user: str) -> tuple[str, ...]:
    """The words before a command that has it leave processors and disks to everybody else."""
    try:
        scope = machine.run([*_SCOPE, "true"], user=user, timeout=10, ok=None).code == 0
    except CommandFailed:
        scope = False
    # A name of its own: systemd may not have forgotten the scope of the command before.
    return (*_SCOPE, f"--unit={_UNIT}-{time.monotonic_ns()}", *_NICE) if scope else _NICE


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
