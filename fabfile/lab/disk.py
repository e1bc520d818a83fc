"""A lab's own folder: keys, and a disk that shares what it can with the baseline."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from fabfile.lab import inventory
from fabfile.lab.cache import Cached

OWN_FOLDERS = ("upper", "work", "root", "docker", "data")


def keys(folder: Path, port: int) -> None:
    """Make the operator's key, the VPS's host key and a known_hosts for `port`, unless they are there."""
    for name in ("key", "host_key"):
        if not (folder / name).exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"islandflow-lab {name}", "-f", name]
            subprocess.run(command, cwd=folder, check=True, stdin=subprocess.DEVNULL)
    kind, public = (folder / "host_key.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {public}\n")


def lay_out(folder: Path, baseline: Path) -> None:
    """Replace the lab's disk by a copy of the baseline's."""
    for name in OWN_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("upper", "work", "root"):
        (folder / name).mkdir()
    _copy(baseline / "data", folder / "data")
    _copy_docker(baseline / "docker", folder / "docker")
    shutil.copy(baseline / "ca.pem", folder / "ca.pem")


def _copy_docker(source: Path, target: Path) -> None:
    """Docker's folder. Its image layers are never written to, so they are shared by hard links.

    A layer with a twin named -init is a container's: that one, its twin and everything else is copied.
    """
    layers = source / "overlay2"
    target.mkdir()
    shutil.copystat(source, target)
    for entry in source.iterdir():
        if entry != layers:
            _copy(entry, target / entry.name)
    (target / "overlay2").mkdir()
    shutil.copystat(layers, target / "overlay2")
    names = {entry.name for entry in layers.iterdir()}
    container_layers = {name for name in names if name.endswith("-init") or f"{name}-init" in names or name == "l"}
    for name in names:
        _copy(layers / name, target / "overlay2" / name, link=name not in container_layers)


def _copy(source: Path, target: Path, *, link: bool = False) -> None:
    """Copy with owners, extended attributes and devices, which shutil does not support."""
    options = ["--link"] if link else ["--reflink=auto"]
    subprocess.run(["cp", "--archive", *options, str(source), str(target)], check=True)


def spec(folder: Path, name: str, ports: dict[str, int], base: Cached, root: Cached) -> dict[str, Any]:
    """What the supervisor boots: the baseline over the root, the lab's own disk over both."""
    return {
        "lower": [str(base.path / "upper"), str(root.path / "system")],
        "upper": str(folder / "upper"), "work": str(folder / "work"), "root": str(folder / "root"),
        "binds": {
            "/var/lib/docker": str(folder / "docker"),
            "/var/lib/islandflow": str(folder / "data"),
            "/etc/ssh/ssh_host_ed25519_key": str(folder / "host_key"),
            "/etc/ssh/lab_authorized_keys": str(folder / "key.pub"),
        },
        "ports": {key: [near, inventory.VPS_PORTS[key]] for key, near in ports.items()},
    }  # fmt: skip


def own_bytes(folder: Path) -> int:
    """What the lab takes on the disk, without what it shares with the baseline; it may be running."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                stat = os.lstat(f"{path}/{name}")
                total += stat.st_blocks * 512 if stat.st_nlink == 1 else 0
    return total
