"""Builds a commit's images beside what runs, and adopts those that run already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from ...facts import compose
from ...releases import register
from ...releases.reading import unbuilt
from ...system import docker
from ...system.machine import CommandFailed, Evidence, Machine
from ...wire.app import Compose
from ...wire.codec import wire
from ...wire.facts import Facts
from ...wire.release import BAD, GOOD
from ..before import Before, text, texts
from .base import Adoption, ReleaseAction
from .build import Command, check_out, discard, note, run_command

_SCRATCH = "images"  # where the commit is checked out while its images are built; no commit is called so
_TAG_SECONDS = 60.0


@wire
@dataclass(frozen=True)
class BuildImages(ReleaseAction):
    """Builds the services' images from a commit, as the checkout's own Compose file says, and tags them with it.

    The commit is checked out in a directory of its own meanwhile, with its dependencies where the checkout has them.
    """

    project: Compose
    commit: str
    services: tuple[str, ...]
    install: Command | None = None
    timeout: float = 900.0

    def noop_reason(self, facts: Facts) -> str:
        found = facts.releases
        release = found.find("docker", self.commit)
        bad = release is not None and release.state == BAD
        missing = [name for name in self.services if self.commit not in found.images.get(name, ())]
        running = all(found.containers.get(name) == self.commit for name in self.services)
        return (
            "" if missing or (bad and not running) else f"{len(self.services)} images of {self.commit[:12]} are there"
        )

    def snapshot(self, facts: Facts) -> Before:
        images = facts.releases.images
        return {"missing": [name for name in self.services if self.commit not in images.get(name, ())]}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        ref = self.releases
        try:
            check_out(machine, ref, self.commit, _SCRATCH)
            if self.install:
                run_command(machine, ref, _SCRATCH, self.install)
            overlay = json.dumps(self._overlay(compose.own(machine, self.project)))
            argv = [*docker.own_compose(self.project), "--file", "-", "build", *self.services]
            result = machine.run(argv, stdin=overlay.encode(), timeout=self.timeout, ok=None)
        finally:
            discard(machine, ref, _SCRATCH)
        if result.code:
            raise CommandFailed(f"docker compose build ended with {result.code}", code=result.code, said=result.excerpt)
        note(machine, "docker", self.commit, lambda known: replace(known, built=True, builds=self.services))
        return {"built": list(self.services)}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        tags = [f"{self.releases.repository(name)}:{self.commit}" for name in texts(before, "missing")]
        remove_images(machine, tags)
        discard(machine, self.releases, _SCRATCH)
        note(machine, "docker", self.commit, unbuilt)
        return {"removed": tags}

    def _overlay(self, config: compose.Config) -> dict[str, Any]:
        """What differs from the checkout's Compose file: the paths that a build reads, and the image's name."""
        services = config.get("services") or {}
        return {"services": {name: self._build(name, services.get(name) or {}) for name in self.services}}

    def _build(self, name: str, service: compose.ServiceConfig) -> dict[str, Any]:
        build = service.get("build") or {}
        changed: dict[str, Any] = {"labels": {"islandflow.commit": self.commit}}  # no two commits have one image
        for key in ("context", "dockerfile"):
            if build.get(key):
                changed[key] = self._moved(str(build.get(key)))
        contexts: Mapping[str, str] = build.get("additional_contexts") or {}
        if contexts:
            changed["additional_contexts"] = {key: self._moved(path) for key, path in contexts.items()}
        return {"image": f"{self.releases.repository(name)}:{self.commit}", "build": changed}

    def _moved(self, path: str) -> str:
        """A path of the checkout, in the directory where the commit is checked out; any other as it is."""
        checkout = PurePosixPath(self.releases.checkout)
        inside = PurePosixPath(path).is_relative_to(checkout)
        moved = PurePosixPath(
            self.releases.directory(_SCRATCH), PurePosixPath(path).relative_to(checkout) if inside else ""
        )
        return str(moved) if inside else path

    def describe(self) -> str:
        return f"build images of {self.commit[:12]} for {', '.join(self.services)}"


@wire
@dataclass(frozen=True)
class AdoptImages(Adoption):
    """Tags the images that services run already, and that no deploy has built, with the checkout's commit.

    So they are a release to go back to. It is none where the deploy is of that very commit.
    """

    def noop_reason(self, facts: Facts) -> str:
        if facts.checkout and facts.checkout.head == self.deployed:
            return "the checkout is at the commit that is deployed"
        return "" if self._missing(facts) else "releases have their images"

    def snapshot(self, facts: Facts) -> Before:
        return self._snapshot(facts, "docker", self._missing(facts))

    def apply(self, machine: Machine, before: Before) -> Evidence:
        ref, head = self.releases, text(before, "head")
        images = docker.images(machine, ref.project)
        adopted = [service for service in texts(before, "missing") if service in images]
        for service in adopted:
            machine.run(["docker", "tag", images[service], f"{ref.repository(service)}:{head}"], timeout=_TAG_SECONDS)
        release = self._adopted(machine, before, "docker", adopted)
        register.write(machine.ops, replace(release, built=True, builds=release.services))
        return {"adopted": adopted, "release": head}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        head = text(before, "head")
        remove_images(machine, [f"{self.releases.repository(name)}:{head}" for name in texts(before, "missing")])
        self._restore(machine, before, "docker")
        return {"removed": texts(before, "missing")}

    def _missing(self, facts: Facts) -> list[str]:
        return [service for service in self.services if service not in facts.releases.containers]

    def describe(self) -> str:
        return f"tag the images that {', '.join(self.services)} run from with the checkout's commit"


@wire
@dataclass(frozen=True)
class PruneImages(ReleaseAction):
    """Removes the images of old releases and of bad ones.

    It keeps those of the latest `keep` good ones, whatever a container is made of, at least one to go back to, and the
    `former` ones, which the plan's own undo may need.
    """

    keep: int
    former: tuple[str, ...] = ()

    def noop_reason(self, facts: Facts) -> str:
        return "" if self._superfluous(facts) else "there is nothing to remove"

    def snapshot(self, facts: Facts) -> Before:
        return {"remove": self._superfluous(facts)}

    def apply(self, machine: Machine, before: Before) -> Evidence:
        remove_images(machine, texts(before, "remove"))
        register.forget_old(machine.ops, "docker")
        return {"removed": texts(before, "remove")}

    def undo(self, machine: Machine, before: Before) -> Evidence:
        return {"removed": texts(before, "remove")}

    def _superfluous(self, facts: Facts) -> list[str]:
        found = facts.releases
        live = set(found.containers.values())
        good = [r.commit for r in found.known if r.runtime == "docker" and r.state == GOOD and r.built]
        back = [commit for commit in good if commit not in live][:1]
        kept = {*good[: self.keep], *back, *live, *self.former}
        pairs = [(service, commit) for service, commits in found.images.items() for commit in commits]
        return [f"{self.releases.repository(service)}:{commit}" for service, commit in pairs if commit not in kept]

    def describe(self) -> str:
        return f"remove images of releases but the latest {self.keep} good ones"


def remove_images(machine: Machine, tags: list[str]) -> None:
    """Remove images' tags, and what no other tag or container uses. Raises CommandFailed."""
    if not tags:
        return
    result = machine.run(["docker", "rmi", *tags], timeout=_TAG_SECONDS, ok=None)
    if result.code and "no such image" not in result.err.lower():
        raise CommandFailed(f"docker rmi ended with {result.code}", code=result.code, said=result.excerpt)
