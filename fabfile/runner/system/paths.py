"""Files and data directories: what they are, whose they are."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import stat
from pathlib import Path

from ..wire.facts import FileFact, Tree
from .machine import Machine

WALK = 3600.0  # seconds; a walk that was cut off in the middle would only be longer to undo
_TEXT_LIMIT = 256 * 1024  # bytes; the files this tool writes are far smaller


def file_fact(path: str) -> FileFact:
    """What stands at `path`; the contents come along when it is a small text file."""
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
    """The owners of everything under `path`, symbolic links not followed; nobody when it does not exist.

    find(1) walks faster than Python could, and while data changes hands the app is away.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return Tree(path)
    owner = f"{status.st_uid}:{status.st_gid}"
    # 1 also stands for entries that vanished meanwhile.
    found = machine.run(["find", path, *others(owner), "-printf", "%U:%G\n"], timeout=WALK, ok=(0, 1))
    return Tree(path, owner, tuple(sorted(set(found.out.split()))))


def others(owner: str) -> list[str]:
    """find's words for whatever does not belong to this "uid:gid"."""
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
    if len(raw) > _TEXT_LIMIT:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
