"""Kind, mode and ownership of files and data directories."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import stat
from pathlib import Path

from ..wire.facts import FileFact, Tree
from .machine import Machine

WALK_TIMEOUT_SECONDS = 3600.0  # a walk that was cut off in its middle would only take longer to undo
_MAX_TEXT_BYTES = 256 * 1024  # the files this tool writes are far smaller


def file_fact(path: str) -> FileFact:
    """What is at `path`; with its contents when it is a small text file."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return FileFact(path, "missing")
    except OSError:
        return FileFact(path, "unreadable")
    mode, owner, group = stat.S_IMODE(status.st_mode), user_name(status.st_uid), group_name(status.st_gid)
    if stat.S_ISDIR(status.st_mode):
        return FileFact(path, "directory", mode, owner, group)
    if not stat.S_ISREG(status.st_mode):
        return FileFact(path, "other", mode, owner, group)
    try:
        raw = Path(path).read_bytes()
    except OSError:
        return FileFact(path, "unreadable", mode, owner, group)
    return FileFact(path, "file", mode, owner, group, hashlib.sha256(raw).hexdigest(), _text(raw))


def tree(machine: Machine, path: str) -> Tree:
    """The owners of everything under `path`, symbolic links not followed; empty when it does not exist.

    find(1) is faster than Python, and during a hand-over of data the app is down.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return Tree(path)
    owner = f"{status.st_uid}:{status.st_gid}"
    # 1 also stands for entries that vanished meanwhile.
    result = machine.run(
        ["find", path, *other_owners(owner), "-printf", "%U:%G\n"], timeout=WALK_TIMEOUT_SECONDS, ok=(0, 1)
    )
    return Tree(path, owner, tuple(sorted(set(result.out.split()))))


def other_owners(owner: str) -> list[str]:
    """The arguments of find(1) that match whatever does not belong to this "uid:gid"."""
    uid, gid = owner.split(":")
    return ["(", "!", "-uid", uid, "-o", "!", "-gid", gid, ")"]


def nearest(path: str) -> Path:
    """`path`, or the nearest folder above it that exists."""
    return next(place for place in (Path(path), *Path(path).parents) if place.exists())


def user_name(uid: int) -> str:
    """The user's name, or the number when no user has it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """The group's name, or the number when no group has it."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def account(name: str) -> str:
    """A user's "uid:gid"; empty when there is no such user."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return ""
    return f"{entry.pw_uid}:{entry.pw_gid}"


def _text(raw: bytes) -> str | None:
    if len(raw) > _MAX_TEXT_BYTES:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
