"""Caches built folders under the hash of their recipe; none is built twice, or pruned while it is in use."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from fabfile.lab.host import home


@dataclass(frozen=True)
class Cached:
    """A built folder. While `lock` is open, here or in a process that inherited it, the folder is not pruned."""

    key: str
    path: Path
    lock: FileIO


def digest(parts: Iterable[str | bytes | Path]) -> str:
    """The first 16 hex digits of the SHA-256 over texts, bytes, files and whole folders (names, modes, contents)."""
    sha = hashlib.sha256()
    for part in parts:
        for chunk in _chunks(part):
            sha.update(len(chunk).to_bytes(8, "big") + chunk)
    return sha.hexdigest()[:16]


def _chunks(part: str | bytes | Path) -> Iterable[bytes]:
    if isinstance(part, str):
        yield part.encode()
    elif isinstance(part, bytes):
        yield part
    elif part.is_dir():
        for path in tree(part):
            yield f"{path.relative_to(part)} {path.stat().st_mode & 0o777:o}".encode()
            yield path.read_bytes()
    else:
        yield part.read_bytes()


def tree(folder: Path) -> list[Path]:
    """Every file under a folder in a fixed order, but what tools leave behind (caches, installed modules)."""
    ignored = {"__pycache__", "node_modules", ".git"}
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in files if not ignored.intersection(path.relative_to(folder).parts)]


def cached(kind: str, key: str, build: Callable[[Path], None]) -> Cached:
    """The folder for `key`, built by `build(empty folder)` if it isn't there; other keys of the kind are pruned.

    A second process waits for the first one's build. A build that raises leaves nothing under the key.
    """
    folder = home() / kind
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / key
    lock = _open_lock(path)
    fcntl.flock(lock, fcntl.LOCK_SH)
    while not path.exists():
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _build(path, build)
        # Not atomic: another recipe's prune may come in between, hence the loop.
        fcntl.flock(lock, fcntl.LOCK_SH)
    _prune(folder, keep=key)
    return Cached(key, path, lock)


def _build(path: Path, build: Callable[[Path], None]) -> None:
    """Build beside the final name and rename: a folder under its key is always whole."""
    unfinished = path.with_name(f"{path.name}.building")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        build(unfinished)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    os.sync()
    unfinished.rename(path)


def _prune(folder: Path, keep: str) -> None:
    """Remove what other recipes left, unless somebody uses or builds it."""
    for path in folder.iterdir():
        key = path.name.split(".")[0]
        if key == keep or path.suffix == ".lock":
            continue
        with _open_lock(folder / key) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(path, ignore_errors=True)


def _open_lock(path: Path) -> FileIO:
    return open(path.with_name(f"{path.name}.lock"), "ab", buffering=0)
