"""The register of releases on the VPS: a file for each commit in each runtime, readable by root only."""

from __future__ import annotations

import json
from pathlib import Path

from ..system.files import put, remove
from ..wire import formats, shape
from ..wire.codec import decode_as, encode
from ..wire.release import Release
from ..wire.terms import Runtime

_LISTED = 20  # releases that are not built: only the latest stay listed


def read_all(root: Path) -> list[Release]:
    """Return every release that is known, the latest first. Raises OSError, and ValueError (NewerFormat)."""
    found = [_read(path) for path in (root / "releases").glob("*.json")]
    return sorted(found, key=lambda release: release.since, reverse=True)


def read(root: Path, runtime: Runtime, commit: str) -> Release | None:
    """Return what is known of a commit's release; None where nothing is. Raises as `read_all` does."""
    try:
        return _read(_path(root, runtime, commit))
    except FileNotFoundError:
        return None


def write(root: Path, release: Release) -> None:
    """Write what is known of a release. Raises OSError."""
    path = _path(root, release.runtime, release.commit)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    text = json.dumps({"version": formats.RELEASE, **encode(release)})
    put(path, text.encode(), 0o600, "root", "root")


def restore(root: Path, runtime: Runtime, commit: str, former: Release | None) -> None:
    """Write what was known of a release before, or forget it where nothing was. Raises OSError."""
    if former is None:
        remove(_path(root, runtime, commit))
    else:
        write(root, former)


def forget_old(root: Path, runtime: Runtime) -> None:
    """Keep only the latest of the releases that are not built. Raises OSError."""
    unbuilt = [release for release in read_all(root) if release.runtime == runtime and not release.built]
    for release in unbuilt[_LISTED:]:
        remove(_path(root, runtime, release.commit))


def _path(root: Path, runtime: Runtime, commit: str) -> Path:
    return root / "releases" / f"{runtime}-{commit}.json"


def _read(path: Path) -> Release:
    data = shape.parse(path.read_bytes())
    if not isinstance(data, dict):
        raise ValueError(f"{path} describes no release")
    formats.require(data.pop("version", None), formats.RELEASE, f"the release {path.stem}")
    return decode_as(Release, data)
