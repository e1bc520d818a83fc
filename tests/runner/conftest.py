"""What tests of the runner share. They run as root, as the runner does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def root() -> None:
    """Fail where root is needed: a silent skip would look like a pass."""
    assert os.geteuid() == 0, "this test changes owners or mounts: run it as root"


@pytest.fixture
def small_disk(tmp_path: Path, root: None) -> Iterator[Path]:
    """A file system of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "islandflow-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
