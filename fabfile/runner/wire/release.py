"""The app's checkout and its releases, as data: builds at single commits, what each service runs from, the request."""

from __future__ import annotations

from dataclasses import dataclass, field

from .codec import wire
from .terms import Runtime


@wire
@dataclass(frozen=True)
class Checkout:
    """A git work tree: its commit, its branch, the tracked files that differ from the commit, and untracked ones."""

    head: str
    branch: str  # empty when detached
    changed: tuple[str, ...]
    untracked: tuple[str, ...] = ()  # without those that git ignores; a whole folder ends with a slash


@wire
@dataclass(frozen=True)
class ReleasesRef:
    """Where the native app's releases are, and which of its services may run from them.

    Where there is a `ref` (branch, tag or commit) its commit is looked up, and what a build of it would need.
    """

    checkout: str
    folder: str
    user: str
    services: tuple[str, ...]
    ref: str = ""
    project: str = ""  # the Compose project, whose images are tagged by commit

    def directory(self, commit: str) -> str:
        """The directory of the release of a commit."""
        return f"{self.folder}/{commit}"

    def repository(self, service: str) -> str:
        """The name of a service's images, whose tags are commits."""
        return f"{self.project}-release/{service}"

    def link(self, service: str) -> str:
        """The link that a service runs from."""
        return f"{self.folder}/live/{service}"


@wire
@dataclass(frozen=True)
class Release:
    """What is known of one commit's release in one runtime."""

    runtime: Runtime
    commit: str
    state: str  # BUILDING, GOOD, BAD
    ref: str = ""  # as the operator named it
    subject: str = ""  # of the commit
    since: float = 0.0  # when it was last seen to be good (epoch, seconds)
    who: str = ""
    plan: str = ""  # the last one that deployed it, or tried
    services: tuple[str, ...] = ()  # that it has run, healthy
    reason: str = ""  # why it is bad
    built: bool = False  # its directory is whole: the commit with its dependencies
    builds: tuple[str, ...] = ()  # the services that were built there
    size: int = 0  # bytes; 0 where it is not built


BUILDING, GOOD, BAD = "building", "good", "bad"


@wire
@dataclass(frozen=True)
class Releases:
    """The releases on the VPS; and of the ref, where one was requested, its commit."""

    known: tuple[Release, ...] = ()
    live: dict[str, str] = field(default_factory=dict)  # service → directory that its link leads to
    images: dict[str, tuple[str, ...]] = field(default_factory=dict)  # service → commits that it has an image of
    containers: dict[str, str] = field(default_factory=dict)  # service → commit of its container's image
    directories: tuple[str, ...] = ()  # of releases, whole or half-built, by their commits
    commit: str = ""
    present: bool = False  # the checkout has the commit, so that nothing needs to be fetched
    problem: str = ""  # why there is no commit
    free: int = 0  # bytes, where the releases are
    size: int = 0  # bytes of the checkout with its dependencies: about what a release needs

    def runs(self, ref: ReleasesRef, runtime: Runtime, service: str) -> str:
        """The commit of the release that a service runs from; empty where it runs from none."""
        if runtime == "docker":
            return self.containers.get(service, "")
        directory = self.live.get(service, "")
        commit = directory.rpartition("/")[2]
        return commit if directory == ref.directory(commit) else ""

    def find(self, runtime: Runtime, commit: str) -> Release | None:
        """The release of a commit in a runtime; None where nothing is known of it."""
        return next((r for r in self.known if (r.runtime, r.commit) == (runtime, commit)), None)
