"""The lab's folder on the operator's machine, and the requirements of that machine."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from fabfile import output
from fabfile.errors import CutoverError

ASSETS = Path(__file__).parent / "assets"

# Each tool with the Debian package that brings it.
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "openssl": "openssl",
    "git": "git",
    "npm": "npm",
    "tar": "tar",
}

ARCHITECTURES = {"x86_64": "linux-x64-baseline", "aarch64": "linux-aarch64"}


class LabError(CutoverError):
    """The lab didn't come up, or a command in it failed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, state="no VPS was touched, only the lab", next_step="inv lab.reset makes it new")


class UnsupportedMachine(CutoverError):
    """This machine can't run labs; the message names what is missing and the command that installs it."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(message, state="", next_step="")

    def render(self) -> str:
        """The message as one line."""
        return f"Error: {self.message}"


def home() -> Path:
    """The folder that holds the caches and the labs, outside the checkout."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path("/var/cache")) / "islandflow-lab"


def require() -> None:
    """Raise UnsupportedMachine unless this machine can run labs: root, the tools, a known processor."""
    if os.geteuid() != 0:
        raise UnsupportedMachine("the lab needs root: it boots a system in namespaces of its own; run this as root")
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        raise UnsupportedMachine(f"the lab lacks {', '.join(missing)}: apt-get install {' '.join(missing)}")
    if platform.machine() not in ARCHITECTURES:
        raise UnsupportedMachine(f"the lab runs on {' and '.join(ARCHITECTURES)}, this machine is {platform.machine()}")


def say(text: str) -> None:
    """Print what is being done, unless -q was given; what a command prints is left alone."""
    if not output.settings().quiet:
        print(output.with_program(f"lab: {text}"), file=sys.stderr, flush=True)
