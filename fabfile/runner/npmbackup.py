"""What a switch of the edge keeps, so that it can be taken back from any point, also after a power cut.

A backup is a folder that appears whole: the database by SQLite's own backup, the hosts' files, and a
manifest with the rows' former values. Two empty files in it say how far the switch came: `began` before the
first change, `reloaded` before nginx was told.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from . import atomic, npmfile, npmrows
from .codec import decode, encode, wire
from .edge import decoded, digest, encoded
from .npmfile import Drift
from .npmrows import ProxyHost

BEGAN, RELOADED = "began", "reloaded"


@wire
@dataclass(frozen=True)
class SavedHost:
    """A host as it was: its row, and its file under the same name in the backup's folder."""

    domain: str
    row: ProxyHost
    path: str
    modified: int  # of the file, in ns: a file put back is not newer than what nginx has read
    written: str  # SHA-256 of the file that the switch puts in its place


def save(folder: Path, database: str, hosts: Sequence[SavedHost]) -> None:
    """Make the backup. Raises StepFailed when the database is locked, OSError when the disk is full.

    A backup whose switch began and was never taken back stays: it holds the state before the first attempt.
    """
    if (folder / BEGAN).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    making = folder.with_name(f".{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True, mode=0o700)
    npmrows.back_up(database, making / "database.sqlite")
    for host in hosts:
        atomic.put(making / Path(host.path).name, Path(host.path).read_bytes(), 0o600, _me(), _my_group())
    manifest = json.dumps({"database": database, "hosts": encode(list(hosts))}, indent=1).encode()
    atomic.put(making / "manifest.json", manifest, 0o600, _me(), _my_group())
    making.rename(folder)
    atomic.sync_folder(folder.parent)


def mark(folder: Path, stage: str) -> None:
    """Note, for good, that the switch is about to enter a stage."""
    atomic.put(folder / stage, b"", 0o600, _me(), _my_group())


def marked(folder: Path, stage: str) -> bool:
    """Whether the switch came that far."""
    return (folder / stage).exists()


def unmark(folder: Path) -> None:
    """Note, for good, that everything is as it was."""
    # `began` goes last: while it is there, a second attempt to take the switch back does all of it again.
    atomic.remove(folder / RELOADED)
    atomic.remove(folder / BEGAN)


def put_back(folder: Path) -> List[str]:
    """Give the rows and files of the backup their former contents; returns what had to be changed.

    Touches our columns and our places only: a file that somebody else changed meanwhile keeps that change.
    Raises StepFailed, OSError.
    """
    manifest: Dict[str, Any] = decode(json.loads((folder / "manifest.json").read_text()))
    database: str = manifest["database"]
    hosts: Sequence[SavedHost] = manifest["hosts"]
    now = {row.id: row for row in npmrows.live_rows(database, npmrows.PATIENCE)}
    differing = [host.row for host in hosts if _differs(now.get(host.row.id), host.row)]
    changed: List[str] = []
    if differing:
        changed += [f"row {number}" for number in npmrows.restore_rows(database, differing)]
    for host in hosts:
        if host.row.id in now and now[host.row.id].enabled and _put_file_back(folder, host, now[host.row.id]):
            changed.append(host.path)
    return changed


def write_file(path: Path, text: str, modified: int = 0) -> None:
    """Replace a file's contents, keeping its owner and mode; `modified` (ns) if given. Raises OSError."""
    stat = path.stat()
    atomic.put(path, encoded(text), stat.st_mode & 0o7777, str(stat.st_uid), str(stat.st_gid))
    if modified:
        os.utime(path, ns=(modified, modified))


def _differs(now: Optional[ProxyHost], former: ProxyHost) -> bool:
    if now is None:  # deleted in NPM's page meanwhile: not ours to bring back
        return False
    values = (former.scheme, former.host, former.port, former.advanced)
    return (now.scheme, now.host, now.port, now.advanced) != values


def _put_file_back(folder: Path, host: SavedHost, now: ProxyHost) -> bool:
    path = Path(host.path)
    saved = folder / path.name
    former = decoded(saved.read_bytes())
    if not path.exists():  # NPM deletes the file of a host whose configuration it finds broken
        neighbour = path.parent.stat()
        atomic.put(path, encoded(former), 0o644, str(neighbour.st_uid), str(neighbour.st_gid))
        return True
    current = decoded(path.read_bytes())
    if current == former:
        return False
    if digest(current) == host.written:
        write_file(path, former, host.modified)
    else:
        write_file(path, _reverted(current, former, host, now))
    return True


def _reverted(current: str, former: str, host: SavedHost, now: ProxyHost) -> str:
    """A file that somebody else changed too: only our places get their former values."""
    upstream = npmfile.own_upstream(npmfile.server_block(former, host.domain))
    try:
        if upstream is None:
            raise Drift(f"{host.domain}: its former file has no upstream")
        return npmfile.updated_file(current, host.domain, upstream, now.advanced, host.row.advanced)
    except Drift:
        return former


def _me() -> str:
    return str(os.geteuid())


def _my_group() -> str:
    return str(os.getegid())
