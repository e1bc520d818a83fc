"""Backups of the edge, from which a change can be undone at any point, also after a power cut.

A backup is a folder that appears whole: the database by SQLite's own backup, the hosts' files, and a
manifest with the rows' former values. Two empty files in it mark the change's stage: `began` before the
first change, `reloaded` before nginx's reload.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from ..system import files
from ..wire import formats, shape
from ..wire.codec import decode, encode
from ..wire.edge import EdgeBackup, ProxyHost, SavedHost, Values
from . import hostfile
from .database import (
    OWN_COLUMNS,
    UNDO_LOCK_SECONDS,
    WEBSOCKET,
    back_up,
    live_rows,
    read_row,
    restore_rows,
)
from .hostfile import digest, to_bytes, to_text
from .maintenance.region import split
from .routes import Drift

BEGAN, RELOADED = "began", "reloaded"
_PREFIX = "edge-"  # of a backup's folder among the others of its plan
_DIGEST_SUFFIX = ".written"  # behind a file's name: the SHA-256 of what NPM made of it for us
_TIME_FORMAT = "%Y%m%dT%H%M%S-%f"  # the second part of the name: when it was made (UTC), to the microsecond


class _Manifest(TypedDict):
    """A backup's manifest, decoded."""

    database: str
    hosts: tuple[SavedHost, ...]


def new_folder(backups: Path, now: float) -> Path:
    """Return the folder for a new backup of a plan, named by time (s): one plan may change the edge more than once."""
    return backups / f"{_PREFIX}{datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime(_TIME_FORMAT)}"


def number_of(folder: Path) -> str:
    """Return the identifier of the backup in a folder."""
    return folder.name[len(_PREFIX) :]


def save(folder: Path, database: str, hosts: Sequence[SavedHost]) -> None:
    """Make the backup. Raises StepFailed when the database is locked, OSError when the disk is full.

    A backup whose change began and was never undone stays: it holds the state before the first attempt.
    """
    if (folder / BEGAN).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    partial = folder.with_name(f".{folder.name}.making")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    back_up(database, partial / "database.sqlite")
    for host in hosts:
        if host.modified:
            files.put(partial / Path(host.path).name, Path(host.path).read_bytes(), 0o600, _uid(), _gid())
    manifest = json.dumps(
        {"version": formats.BACKUP, "database": database, "hosts": encode(list(hosts))}, indent=1
    ).encode()
    files.put(partial / "manifest.json", manifest, 0o600, _uid(), _gid())
    partial.rename(folder)
    files.sync_folder(folder.parent)


def read_all(ops: Path) -> list[EdgeBackup]:
    """Return every backup below the runner's folder, oldest first, without the files' contents."""
    backups = [_read_backup(folder) for folder in ops.glob(f"plans/*/backups/{_PREFIX}*")]
    return sorted((backup for backup in backups if backup), key=lambda backup: backup.taken)


def find(ops: Path, database: str, number: str) -> list[EdgeBackup]:
    """Return the backup with that identifier, if there is one, and those of its files that still fit their rows."""
    for backup in read_all(ops):
        if backup.id == number:
            rows = {row.id: row for row in live_rows(database)}
            usable = [
                host
                for host in backup.hosts.values()
                if host.row.id in rows
                and not _changed_columns(ops, database, backup, restored_row(rows[host.row.id], host.row))
            ]
            folder = _folder(ops, backup)
            return [replace(backup, texts={host.domain: split(_text(folder, host))[0] for host in usable})]
    return []


def file_from_backup(ops: Path, database: str, row: ProxyHost, domain: str) -> str:
    """Return a host's file as it would be now, made from the newest backup that has it.

    Raises Drift when there is none, or when what decides about the file, our own columns apart, has changed since.
    """
    for backup in reversed(read_all(ops)):
        host = backup.hosts.get(domain)
        if not host or host.row.id != row.id or not host.modified:
            continue
        changed = _changed_columns(ops, database, backup, exposed_row(row))
        if changed:
            raise Drift(f"{domain}: {', '.join(changed)} changed since its file was backed up (backup {backup.id})")
        if row.upstream is None:
            raise Drift(f"{domain}: its row sends requests to {row.place}, which is no valid upstream")
        text, _ = split(_text(_folder(ops, backup), host))  # to open a host ends no maintenance, nor begins one
        return hostfile.updated_file(text, domain, row.upstream, host.row.advanced, row.advanced)
    raise Drift(f"{domain}: its generated file is missing, and no backup on this VPS has it")


def exposed_row(row: ProxyHost) -> ProxyHost:
    """Return a row as it is once its host is public: one that leads nowhere refuses websockets, too."""
    return replace(row, websocket=True) if row.points_nowhere else row


def restored_row(current: ProxyHost, former: ProxyHost) -> ProxyHost:
    """Return the row to restore: whether websockets pass is ours only where one of both leads nowhere."""
    websocket_is_ours = (current.points_nowhere or former.points_nowhere) and former.websocket is not None
    return former if websocket_is_ours else replace(former, websocket=current.websocket)


def _changed_columns(ops: Path, database: str, backup: EdgeBackup, target: ProxyHost) -> list[str]:
    """Return the columns of a row, ours excluded, that have changed since the backup: its file would differ today.

    Whether websockets pass is ours in some cases; there `target` has what the row will have.
    """
    then = read_row(str(_folder(ops, backup) / "database.sqlite"), target.id)
    now = {**read_row(database, target.id), WEBSOCKET: int(bool(target.websocket))}
    return sorted(key for key in now if key not in OWN_COLUMNS and now[key] != then.get(key))


def set_stage(folder: Path, stage: str) -> None:
    """Record durably that the change is about to enter a stage."""
    files.put(folder / stage, b"", 0o600, _uid(), _gid())


def reached(folder: Path, stage: str) -> bool:
    """Whether the change entered that stage."""
    return (folder / stage).exists()


def clear_stages(folder: Path) -> None:
    """Record durably that everything is as it was before the change."""
    # `began` goes last: while it is there, a second attempt to undo the change does all of it again.
    files.remove(folder / RELOADED)
    files.remove(folder / BEGAN)


def record_digest(folder: Path, path: Path) -> None:
    """Record the digest of a file that NPM has written at our request: it may differ from what we would write."""
    if path.exists():
        text = digest(to_text(path.read_bytes()))
        files.put(folder / f"{path.name}{_DIGEST_SUFFIX}", text.encode(), 0o600, _uid(), _gid())


def restore(folder: Path) -> list[str]:
    """Restore the rows and files of a backup; returns the rows and files that differed.

    Changes our columns and our values only: a file that somebody else changed meanwhile keeps that change.
    Raises StepFailed, OSError.
    """
    manifest = _manifest(folder)
    database, hosts = manifest["database"], manifest["hosts"]
    current = {row.id: row for row in live_rows(database, UNDO_LOCK_SECONDS)}
    # A host that was deleted in NPM's page meanwhile is not ours to bring back.
    former = {host.domain: _former_row(host, current[host.row.id]) for host in hosts if host.row.id in current}
    differing = [row for row in former.values() if _restorable(row) != _restorable(current[row.id])]
    changed: list[str] = []
    if differing:
        changed += [f"row {number}" for number in restore_rows(database, differing)]
    for host in hosts:
        if host.domain in former and _restore_file(folder, host, current[host.row.id], former[host.domain].enabled):
            changed.append(host.path)
    return changed


def write_file(path: Path, text: str, modified: int = 0) -> None:
    """Replace a file's contents, keeping its owner and mode; sets `modified` (ns) if given. Raises OSError.

    A new file gets its folder's owner, and the mode that NPM gives.
    """
    model, mode = (path, path.stat().st_mode & 0o7777) if path.exists() else (path.parent, 0o644)
    stat = model.stat()
    files.put(path, to_bytes(text), mode, str(stat.st_uid), str(stat.st_gid))
    if modified:
        os.utime(path, ns=(modified, modified))


def _restorable(row: ProxyHost) -> tuple[Values, str]:
    """Return the values of a row that a restore writes."""
    return row.values, row.meta


def _former_row(host: SavedHost, current: ProxyHost) -> ProxyHost:
    """Return the row to restore: whether it is enabled, or lets websockets through, is ours only where changed."""
    enabled = host.row.enabled if host.enabled != host.row.enabled else current.enabled
    websocket = host.row.websocket if host.websocket not in (None, host.row.websocket) else current.websocket
    return replace(host.row, enabled=enabled, websocket=websocket)


def _restore_file(folder: Path, host: SavedHost, row: ProxyHost, enabled: bool) -> bool:
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
    current = to_text(path.read_bytes())
    if current == former:
        return False
    digest_file = folder / f"{path.name}{_DIGEST_SUFFIX}"
    if digest(current) in (host.written, digest_file.read_text() if digest_file.exists() else ""):
        write_file(path, former, host.modified)
    else:
        write_file(path, _with_former_values(current, former, host, row))
    return True


def _with_former_values(current: str, former: str, host: SavedHost, row: ProxyHost) -> str:
    """Return a file that somebody else changed too, with the former values in our places only."""
    try:
        upstream = hostfile.own_upstream(hostfile.server_block(former, host.domain))
        if upstream is None:
            raise Drift(f"{host.domain}: its former file has no upstream")
        return hostfile.updated_file(current, host.domain, upstream, row.advanced, host.row.advanced)
    except Drift:
        return former


def _read_backup(folder: Path) -> EdgeBackup | None:
    """Read the backup in a folder; None if it was deleted meanwhile or can't be read. Raises NewerFormat."""
    number = number_of(folder)
    try:
        hosts = _manifest(folder)["hosts"]
        taken = datetime.datetime.strptime(number, _TIME_FORMAT).replace(tzinfo=datetime.timezone.utc).timestamp()
    except formats.NewerFormat:
        raise
    except (OSError, ValueError, LookupError):
        return None
    plan = folder.parent.parent.name
    return EdgeBackup(number, plan, taken, {host.domain: host for host in hosts}, {})


def _manifest(folder: Path) -> _Manifest:
    """Read a backup's manifest. Raises OSError, and ValueError (NewerFormat) for what this version can't read."""
    raw = shape.parse((folder / "manifest.json").read_text())
    formats.require(raw.get("version") if isinstance(raw, dict) else None, formats.BACKUP, _name(folder))
    manifest: _Manifest = decode(raw)
    problem = shape.misfit(manifest, _Manifest)
    if problem:
        raise ValueError(f"{_name(folder)} is damaged: {problem}")
    return manifest


def _name(folder: Path) -> str:
    return f"the edge's backup {folder.name}"


def _folder(ops: Path, backup: EdgeBackup) -> Path:
    return ops / "plans" / backup.plan / "backups" / f"{_PREFIX}{backup.id}"


def _text(folder: Path, host: SavedHost) -> str:
    """Return the backup's file of a host; empty when the host had none."""
    return to_text((folder / Path(host.path).name).read_bytes()) if host.modified else ""


def _uid() -> str:
    return str(os.geteuid())


def _gid() -> str:
    return str(os.getegid())
