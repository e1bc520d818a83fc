"""The wheel, built and installed as an operator's machine gets it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.support.inventories import REPOSITORY

NOT_COPIED = (".*", "__pycache__", "node_modules", "build", "*.egg-info")


def run(*argv: str | Path, cwd: Path, code: int = 0) -> str:
    """Run a program without what leads Python or the tool to the checkout; all that it prints."""
    ours = ("PYTHONPATH", "ISLANDFLOW_INVENTORY")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        argv, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def copied(target: Path) -> Path:
    """The repository as git has it. The lab's own files that begin with a dot are among them."""
    shutil.copytree(REPOSITORY, target, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for dotted in (REPOSITORY / "fabfile").rglob(".*"):
        if dotted.is_file():
            shutil.copy2(dotted, target / dotted.relative_to(REPOSITORY))
    return target


def wheel_of(source: Path) -> Path:
    """Build it with nothing but what is installed here."""
    offline = ("--no-build-isolation", "--no-deps", "--no-index", "--quiet")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", "wheels", ".", cwd=source)
    (built,) = (source / "wheels").iterdir()
    return built


def installed(wheel: Path, venv: Path) -> Path:
    """The tool in a virtual environment of its own, which finds the libraries where they are installed here."""
    venv.mkdir(exist_ok=True)
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv)
    python = venv / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=venv)
    # Only now: pip would find the checkout there, and call it installed. Its own .pth files are not followed.
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "here.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin" / "islandflow"
