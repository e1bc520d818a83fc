"""What a change of the edge keeps, so that it can be undone from any point, also after a power cut.

A backup is a folder that appears whole: the database by SQLite's own backup, the hosts' files, and a
manifest with the rows' former values. Two empty files in it say how far the change came: `began` before the
first change, `reloaded` before nginx was told.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..system import files
from ..wire import formats
from ..wire.codec import decode, encode
from ..wire.edge import EdgeBackup, ProxyHost, SavedHost
from . import hostfile
from .database import (
    OURS,
    PATIENCE,
    WEBSOCKET,
    back_up,
    live_rows,
    restore_rows,
    whole_row,
)
from .routes import Drift
from .text import decoded, digest, encoded

BEGAN, RELOADED = "began", "reloaded"
_PREFIX = "edge-"  # of a backup's folder among the others of its plan
_WRITTEN = ".written"  # behind a file's name: the SHA-256 of what NPM made of it for us
_STAMP = "%Y%m%dT%H%M%S-%f"  # behind it: when it was made (UTC), down to microseconds


def new_folder(backups: Path, now: float) -> Path:
    """A place for a backup among a plan's, named by time (s): one plan may change the edge more than once."""
    return backups / f"{_PREFIX}{datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime(_STAMP)}"


def number_of(folder: Path) -> str:
    """A backup's identifier, by its folder."""
    return folder.name[len(_PREFIX) :]


def save(folder: Path, database: str, hosts: Sequence[SavedHost]) -> None:
    """Make the backup. Raises StepFailed when the database is locked, OSError when the disk is full.

    A backup whose change began and was never undone stays: it holds the state before the first attempt.
    """
    if (folder / BEGAN).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    making = folder.with_name(f".{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True, mode=0o700)
    back_up(database, making / "database.sqlite")
    for host in hosts:
        if host.modified:
            files.put(making / Path(host.path).name, Path(host.path).read_bytes(), 0o600, _me(), _my_group())
    manifest = json.dumps(
        {"version": formats.BACKUP, "database": database, "hosts": encode(list(hosts))}, indent=1
    ).encode()
    files.put(making / "manifest.json", manifest, 0o600, _me(), _my_group())
    making.rename(folder)
    files.sync_folder(folder.parent)


def listed(ops: Path) -> list[EdgeBackup]:
    """Every backup below the runner's folder, oldest first, without the files' contents."""
    found = [_read(folder) for folder in ops.glob(f"plans/*/backups/{_PREFIX}*")]
    return sorted((backup for backup in found if backup), key=lambda backup: backup.taken)


def find(ops: Path, database: str, number: str) -> list[EdgeBackup]:
    """The backup of that identifier, if there is one, with the files that its rows of today would still get."""
    for backup in listed(ops):
        if backup.id == number:
            rows = {row.id: row for row in live_rows(database)}
            usable = [
                host
                for host in backup.hosts.values()
                if host.row.id in rows
                and not _outdated(ops, database, backup, brought_back(rows[host.row.id], host.row))
            ]
            folder = _folder(ops, backup)
            return [replace(backup, texts={host.domain: _text(folder, host) for host in usable})]
    return []


def kept_file(ops: Path, database: str, row: ProxyHost, domain: str) -> str:
    """A host's file as it would be now, from the newest backup that has it.

    Raises Drift when there is none, or when what decides about the file, our own columns apart, has changed since.
    """
    for backup in reversed(listed(ops)):
        host = backup.hosts.get(domain)
        if not host or host.row.id != row.id or not host.modified:
            continue
        changed = _outdated(ops, database, backup, opened(row))
        if changed:
            raise Drift(f"{domain}: {', '.join(changed)} changed since its file was last kept (backup {backup.id})")
        if row.upstream is None:
            raise Drift(f"{domain}: its row leads to {row.place}, which is no upstream")
        text = _text(_folder(ops, backup), host)
        return hostfile.updated_file(text, domain, row.upstream, host.row.advanced, row.advanced)
    raise Drift(f"{domain}: it has no file, and no backup here has one")


def opened(row: ProxyHost) -> ProxyHost:
    """A row as it is once the public has the host: one that led nowhere let no websocket through either."""
    return replace(row, websocket=True) if row.sealed else row


def brought_back(now: ProxyHost, former: ProxyHost) -> ProxyHost:
    """A former row: whether websockets pass is ours only where one of both leads nowhere."""
    ours = (now.sealed or former.sealed) and former.websocket is not None
    return former if ours else replace(former, websocket=now.websocket)


def _outdated(ops: Path, database: str, backup: EdgeBackup, wanted: ProxyHost) -> list[str]:
    """The columns of a row, our own apart, that are not what they were: its file would be another one today.

    Of those that are ours only in some cases, `wanted` says what the row will have.
    """
    then = whole_row(str(_folder(ops, backup) / "database.sqlite"), wanted.id)
    now = {**whole_row(database, wanted.id), WEBSOCKET: int(bool(wanted.websocket))}
    return sorted(key for key in now if key not in OURS and now[key] != then.get(key))


def mark(folder: Path, stage: str) -> None:
    """Note, for good, that the change is about to enter a stage."""
    files.put(folder / stage, b"", 0o600, _me(), _my_group())


def marked(folder: Path, stage: str) -> bool:
    """Whether the change came that far."""
    return (folder / stage).exists()


def unmark(folder: Path) -> None:
    """Note, for good, that everything is as it was."""
    # `began` goes last: while it is there, a second attempt to undo the change does all of it again.
    files.remove(folder / RELOADED)
    files.remove(folder / BEGAN)


def note_written(folder: Path, path: Path) -> None:
    """Note what somebody else, asked by us, has put in a file's place, which may not be what we would have written."""
    if path.exists():
        text = digest(decoded(path.read_bytes()))
        files.put(folder / f"{path.name}{_WRITTEN}", text.encode(), 0o600, _me(), _my_group())


def put_back(folder: Path) -> list[str]:
    """Give the rows and files of the backup their former contents; returns what had to be changed.

    Touches our columns and our places only: a file that somebody else changed meanwhile keeps that change.
    Raises StepFailed, OSError.
    """
    manifest = _manifest(folder)
    database: str = manifest["database"]
    hosts: Sequence[SavedHost] = manifest["hosts"]
    now = {row.id: row for row in live_rows(database, PATIENCE)}
    # A host that was deleted in NPM's page meanwhile is not ours to bring back.
    former = {host.domain: _former(host, now[host.row.id]) for host in hosts if host.row.id in now}
    differing = [row for row in former.values() if (row.values, row.meta) != (now[row.id].values, now[row.id].meta)]
    changed: list[str] = []
    if differing:
        changed += [f"row {number}" for number in restore_rows(database, differing)]
    for host in hosts:
        if host.domain in former and _put_file_back(folder, host, now[host.row.id], former[host.domain].enabled):
            changed.append(host.path)
    return changed


def write_file(path: Path, text: str, modified: int = 0) -> None:
    """Replace a file's contents, keeping its owner and mode; `modified` (ns) if given. Raises OSError.

    A new file gets its folder's owner, and the mode that NPM gives.
    """
    place, mode = (path, path.stat().st_mode & 0o7777) if path.exists() else (path.parent, 0o644)
    stat = place.stat()
    files.put(path, encoded(text), mode, str(stat.st_uid), str(stat.st_gid))
    if modified:
        os.utime(path, ns=(modified, modified))


def _former(host: SavedHost, now: ProxyHost) -> ProxyHost:
    """The row to go back to: whether it is enabled, or lets websockets through, is ours only where changed."""
    enabled = host.row.enabled if host.enabled != host.row.enabled else now.enabled
    websocket = host.row.websocket if host.websocket not in (None, host.row.websocket) else now.websocket
    return replace(host.row, enabled=enabled, websocket=websocket)


def _put_file_back(folder: Path, host: SavedHost, now: ProxyHost, enabled: bool) -> bool:
    path = Path(host.path)
    files.clear(path)
    if not host.modified:  # it had none, so one that is there now is the change's
        if not host.enabled or not path.exists():
            return False
        files.remove(path)
        return True
    if host.row.enabled and not enabled:  # somebody else disabled it meanwhile
        return False
    former = _text(folder, host)
    if not path.exists():  # NPM deletes the file of a host that is disabled, or that it finds broken
        write_file(path, former, host.modified)
        return True
    current = decoded(path.read_bytes())
    if current == former:
        return False
    noted = folder / f"{path.name}{_WRITTEN}"
    if digest(current) in (host.written, noted.read_text() if noted.exists() else ""):
        write_file(path, former, host.modified)
    else:
        write_file(path, _reverted(current, former, host, now))
    return True


def _reverted(current: str, former: str, host: SavedHost, now: ProxyHost) -> str:
    """A file that somebody else changed too: only our places get their former values."""
    try:
        upstream = hostfile.own_upstream(hostfile.server_block(former, host.domain))
        if upstream is None:
            raise Drift(f"{host.domain}: its former file has no upstream")
        return hostfile.updated_file(current, host.domain, upstream, now.advanced, host.row.advanced)
    except Drift:
        return former


def _read(folder: Path) -> EdgeBackup | None:
    """A backup by its folder; None for one that was thrown away meanwhile or can't be read. Raises NewerFormat."""
    number = number_of(folder)
    try:
        hosts: Sequence[SavedHost] = _manifest(folder)["hosts"]
        taken = datetime.datetime.strptime(number, _STAMP).replace(tzinfo=datetime.timezone.utc).timestamp()
    except formats.NewerFormat:
        raise
    except (OSError, ValueError, LookupError):
        return None
    plan = folder.parent.parent.name
    return EdgeBackup(number, plan, taken, {host.domain: host for host in hosts}, {})


def _manifest(folder: Path) -> dict[str, Any]:
    """What a backup says of itself. Raises OSError, and ValueError (NewerFormat) for what this version can't read."""
    raw = json.loads((folder / "manifest.json").read_text())
    formats.require(raw.get("version"), formats.BACKUP, f"the edge's backup {folder.name}")
    manifest: dict[str, Any] = decode(raw)
    return manifest


def _folder(ops: Path, backup: EdgeBackup) -> Path:
    return ops / "plans" / backup.plan / "backups" / f"{_PREFIX}{backup.id}"


def _text(folder: Path, host: SavedHost) -> str:
    """The file that the backup has of a host; empty when the host had none."""
    return decoded((folder / Path(host.path).name).read_bytes()) if host.modified else ""


def _me() -> str:
    return str(os.geteuid())


def _my_group() -> str:
    return str(os.getegid())
