"""Files and data directories: what they are, whose they are."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import stat
from pathlib import Path
from typing import Dict, Iterator, Tuple

from .facts import FileFact, Tree
from .machine import StepFailed

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


def tree(path: str) -> Tree:
    """The owners of everything under `path`, symbolic links not followed; nothing when it does not exist."""
    owners: Dict[str, int] = {}
    mode = 0
    for entry, status in walk(path):
        pair = f"{status.st_uid}:{status.st_gid}"
        owners[pair] = owners.get(pair, 0) + 1
        if entry == path:
            mode = stat.S_IMODE(status.st_mode)
    return Tree(path, owners, mode)


def walk(path: str) -> Iterator[Tuple[str, os.stat_result]]:
    """`path` and everything below it with its status; entries that vanish meanwhile are left out."""
    try:
        yield path, os.lstat(path)
        if not os.path.islink(path):
            yield from _below(path)
    except FileNotFoundError:
        return


def _below(folder: str) -> Iterator[Tuple[str, os.stat_result]]:
    try:
        entries = list(os.scandir(folder))
    except NotADirectoryError:
        return
    for entry in entries:
        try:
            yield entry.path, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)
        except FileNotFoundError:
            continue


def read_owner(path: Path) -> str:
    """What the owner file holds: native or docker; empty when there is none. Raises StepFailed for anything else."""
    try:
        text = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StepFailed(f"the owner file cannot be read: {error}") from error
    if text not in ("native", "docker"):
        raise StepFailed(f"the owner file holds {text[:40]!r}, neither native nor docker")
    return text


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


def _text(raw: bytes) -> "str | None":
    if len(raw) > _TEXT_LIMIT:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
