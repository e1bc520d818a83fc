"""Where a Redis keeps its data that does not say so itself: its commands may be renamed or forbidden."""

from __future__ import annotations

import os
from pathlib import Path

_SERVERS = ("redis-server", "valkey-server", "keydb-server")  # as the kernel names the process


def working_directory(pid: int, proc: Path = Path("/proc")) -> str:
    """Where a container's Redis works, which is its `dir`, as the container sees it; empty where that is unknown.

    `pid` is the container's first process, which need not be Redis: its mount namespace is all of the container's.
    """
    try:
        namespace = os.readlink(proc / str(pid) / "ns" / "mnt")
        names = [name for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return ""
    for name in names:
        try:
            if os.readlink(proc / name / "ns" / "mnt") == namespace and _is_server(proc / name):
                return os.readlink(proc / name / "cwd")
        except OSError:
            continue  # it has ended meanwhile
    return ""


def _is_server(process: Path) -> bool:
    return (process / "comm").read_text(errors="replace").strip() in _SERVERS


def has_append_only_file(folder: str) -> bool:
    """Whether a folder has what a Redis of the usual settings reads; true where it can't be looked at."""
    try:
        return bool({"appendonlydir", "appendonly.aof"} & set(os.listdir(folder)))
    except OSError:
        return True
