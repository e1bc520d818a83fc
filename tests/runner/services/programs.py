"""Stand-ins for journalctl, docker and systemctl on a VPS: scripts that print what the test says they would."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from fabfile.runner.system import machine


class Programs:
    """A folder of scripts that is the only one on PATH; each notes its arguments."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir()
        self._calls = folder / "calls"
        monkeypatch.setattr(machine, "PATH", f"{self.folder}:/usr/bin:/bin")

    @property
    def path(self) -> str:
        return f"{self.folder}:/usr/bin:/bin"

    def put(self, name: str, script: str) -> None:
        """A program of that name, as a shell script."""
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{shlex.quote(str(self._calls))}\n{script}\n')
        path.chmod(0o755)

    def calls(self, first: str) -> list[str]:
        """The calls that began with these words, in order."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [line for line in lines if line.startswith(first)]
