"""A process that is killed while it writes a file."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

_WRITES = """
import os, pathlib, signal, sys
from fabfile.runner.system import files
os.rename = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
files.put(pathlib.Path(sys.argv[1]), b"half", 0o644, str(os.geteuid()), str(os.getegid()))
"""


def killed_writing(path: Path) -> None:
    """Leave what a killed process leaves beside a file: its new contents, under another name."""
    before = set(path.parent.iterdir())
    done = subprocess.run([sys.executable, "-c", _WRITES, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(set(path.parent.iterdir()) - before) == 1
