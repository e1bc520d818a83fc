"""Measures the space that folders take up, and that is free where they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from ...system import paths
from ...system.machine import Machine, StepFailed

_SECONDS = 15.0  # a folder with too many files for that has no size


def sizes(machine: Machine, folders: Sequence[str]) -> dict[str, int]:
    """Folder → the bytes that it takes up on its disk; one that is not there, or takes too long, is left out."""
    if not folders:
        return {}
    try:
        # Files vanish while servers run: du says so, ends with 1, and counts the others.
        out = machine.run(["du", "-s", "--block-size=1", "--", *folders], timeout=_SECONDS, ok=(0, 1)).out
    except StepFailed:
        return {}
    rows = (line.partition("\t") for line in out.splitlines())
    return {folder: int(size) for size, _, folder in rows if size.isdigit()}


def free(folders: Sequence[str]) -> dict[str, int]:
    """Folder → free bytes; of several on one file system, which share its space, only the first is listed."""
    by_device: dict[int, tuple[str, int]] = {}
    for folder in folders:
        existing = paths.nearest(folder)
        by_device.setdefault(os.stat(existing).st_dev, (folder, shutil.disk_usage(existing).free))
    return dict(by_device.values())
