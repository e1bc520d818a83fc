"""Reads the app's releases: what is known of each, what each service runs from, and the commit of a ref."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ..system import git, paths
from ..system.machine import Machine, StepFailed, failure_detail
from ..wire.release import Release, Releases, ReleasesRef
from . import register
from .images import tagged

_COMMIT = re.compile("[0-9a-f]{40}")
_SIZE_SECONDS = 60.0  # for counting the bytes of a checkout with its dependencies


def releases(machine: Machine, ref: ReleasesRef) -> Releases:
    """The releases. What cannot be read, or a ref that cannot be looked up, is a problem in them."""
    try:
        facts = _as_they_are(machine, ref)
    except (OSError, ValueError) as error:
        return Releases(problem=f"the releases can't be read: {failure_detail(error)}")
    return _with_commit(machine, ref, facts) if ref.ref else facts


def _as_they_are(machine: Machine, ref: ReleasesRef) -> Releases:
    directories = tuple(sorted(_commits(ref.folder)))
    images, containers = tagged(machine, ref)
    return Releases(
        known=tuple(_as_built(release, directories, images) for release in register.read_all(machine.ops)),
        live={service: where for service in ref.services for where in [_led_to(ref.link(service))] if where},
        directories=directories,
        images=images,
        containers=containers,
        free=shutil.disk_usage(paths.nearest(ref.folder)).free,
    )


def size(machine: Machine, directory: str) -> int:
    """The bytes that a directory takes on its disk; 0 where they can't be counted."""
    result = machine.run(["du", "-sk", "--", directory], timeout=_SIZE_SECONDS, ok=None)
    kilobytes = result.out.split("\t")[0]
    return int(kilobytes) * 1024 if kilobytes.isdigit() else 0


def _with_commit(machine: Machine, ref: ReleasesRef, facts: Releases) -> Releases:
    try:
        commit, present = git.resolve(machine, ref.checkout, ref.user, ref.ref)
        needed = 0 if commit in facts.directories else size(machine, ref.checkout)
    except StepFailed as error:
        return replace(facts, problem=failure_detail(error))
    return replace(facts, commit=commit, present=present, size=needed)


def _as_built(release: Release, directories: Iterable[str], images: Mapping[str, tuple[str, ...]]) -> Release:
    """A release whose directory, or whose images, somebody has removed is not built any more."""
    if release.runtime == "docker":
        built = tuple(service for service, commits in images.items() if release.commit in commits)
        return replace(release, built=bool(built), builds=built)
    return release if release.commit in directories else unbuilt(release)


def unbuilt(release: Release) -> Release:
    """A release without its directory."""
    return replace(release, built=False, builds=(), size=0)


def _commits(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if _COMMIT.fullmatch(name)]
    except FileNotFoundError:
        return []


def _led_to(link: str) -> str:
    try:
        return str(Path(os.readlink(link)))
    except OSError:  # there is none: the service runs from the checkout
        return ""
