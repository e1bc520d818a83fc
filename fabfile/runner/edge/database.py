"""NPM's proxy_host rows: the few columns that say where a host's requests go."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ..system.machine import StepFailed
from ..wire.edge import ProxyHost, Values

BUSY = 5.0  # seconds to wait for another writer before nothing is done
PATIENCE = 30.0  # seconds to wait for one when former values are put back

_COLUMNS = (
    "id, domain_names, enabled, forward_scheme, forward_host, forward_port, advanced_config, modified_on,"
    " meta, locations, allow_websocket_upgrade"
)
# What is ours in a row, and what follows from it; all the rest decides how NPM writes the host's file.
OURS = frozenset(
    ("enabled", "forward_scheme", "forward_host", "forward_port", "advanced_config", "modified_on", "meta")
)
WEBSOCKET = "allow_websocket_upgrade"  # ours where the public gets a host back that led nowhere


@dataclass(frozen=True)
class RowChange:
    """A row as it is, and the values it shall get."""

    row: ProxyHost
    values: Values


def live_rows(database: str, busy: float = BUSY) -> list[ProxyHost]:
    """Every proxy host that is not deleted, by id. Raises StepFailed when the database cannot be read."""
    with _opened(database, busy) as connection:
        found = connection.execute(f"SELECT {_COLUMNS} FROM proxy_host WHERE is_deleted = 0 ORDER BY id")
        return [_row(values) for values in found]


def whole_row(database: str, number: int) -> dict[str, object]:
    """Every column of a row, by name; empty when there is none. Raises StepFailed as `live_rows` does."""
    with _opened(database) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM proxy_host WHERE id = ?", (number,)).fetchone()
        return dict(found) if found else {}


def row_problem(rows: Sequence[ProxyHost], domain: str) -> str:
    """Why there is not exactly one row for `domain`, naming what was found; empty when there is.

    Names are compared whole: one name may contain another.
    """
    found = [row for row in rows if domain in row.names]
    if not found:
        known = ", ".join(sorted(name for row in rows for name in row.names)) or "none"
        return f"no live proxy host has the name {domain} (found: {known})"
    if len(found) > 1:
        places = ", ".join(f"{row.id} ({', '.join(row.names)} to {row.place})" for row in found)
        return f"{len(found)} live proxy hosts have the name {domain}: {places}"
    return ""


def change_rows(database: str, changes: Sequence[RowChange]) -> None:
    """Write all changes in one transaction, or none.

    Raises StepFailed when a row is no longer what it was when it was read, or when the database stays
    locked by another writer for longer than `BUSY` seconds.
    """
    with _opened(database) as connection, _transaction(connection):
        for change in changes:
            done = connection.execute(
                "UPDATE proxy_host SET forward_scheme = ?, forward_host = ?, forward_port = ?, advanced_config = ?,"
                " enabled = ?, allow_websocket_upgrade = coalesce(?, allow_websocket_upgrade),"
                " modified_on = datetime('now', 'localtime')"
                " WHERE id = ? AND is_deleted = 0 AND forward_scheme = ?"
                " AND forward_host = ? AND forward_port = ? AND advanced_config = ? AND enabled = ?"
                " AND allow_websocket_upgrade = coalesce(?, allow_websocket_upgrade)",
                (*change.values, change.row.id, *change.row.values),
            ).rowcount
            if done != 1:
                raise StepFailed(f"proxy host {change.row.id} was changed by somebody else since it was read")


def restore_rows(database: str, rows: Sequence[ProxyHost]) -> list[int]:
    """Give rows their former values, our columns only, in one transaction; returns the ids that differed."""
    changed = []
    with _opened(database, PATIENCE) as connection, _transaction(connection):
        for row in rows:
            values = (*row.values, row.meta)
            done = connection.execute(
                "UPDATE proxy_host SET forward_scheme = ?, forward_host = ?, forward_port = ?, advanced_config = ?,"
                " enabled = ?, allow_websocket_upgrade = coalesce(?, allow_websocket_upgrade), meta = ?,"
                " modified_on = ? WHERE id = ? AND NOT (forward_scheme = ? AND forward_host = ? AND forward_port = ?"
                " AND advanced_config = ? AND enabled = ?"
                " AND allow_websocket_upgrade = coalesce(?, allow_websocket_upgrade) AND meta = ?)",
                (*values, row.modified_on, row.id, *values),
            ).rowcount
            if done:
                changed.append(row.id)
    return changed


def back_up(database: str, target: Path) -> None:
    """Copy the whole database by SQLite's own backup, which is consistent while others write.

    Raises StepFailed when the database stays locked for longer than `BUSY` seconds.
    """
    deadline = time.monotonic() + BUSY

    def bounded(_status: int, _remaining: int, _total: int) -> None:
        # Python's backup repeats for ever while another connection holds the lock.
        if time.monotonic() > deadline:
            raise StepFailed(f"{database} stayed locked by another writer for {BUSY:g} s")

    with _opened(database, busy=0.1) as source, contextlib.closing(sqlite3.connect(target)) as copy:
        source.backup(copy, progress=bounded, sleep=0.05)
    handle = os.open(target, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _opened(database: str, busy: float = BUSY) -> Iterator[sqlite3.Connection]:
    # mode=rw: never make a new, empty database where there is none.
    uri = f"file:{quote(database)}?mode=rw"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=busy, isolation_level=None)
        with contextlib.closing(connection):
            yield connection
    except sqlite3.Error as error:
        raise StepFailed(f"NPM's database {database}: {error}") from error


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled it back already
            connection.execute("ROLLBACK")
        raise


def _row(values: Sequence[object]) -> ProxyHost:
    number, names, enabled, scheme, host, port, advanced, modified_on, meta, locations, websocket = values
    return ProxyHost(
        id=int(str(number)),
        names=_names(str(names)),
        enabled=bool(enabled),
        scheme=str(scheme),
        host=str(host),
        port=int(str(port)),
        advanced=str(advanced),
        modified_on=str(modified_on),
        meta=str(meta),
        custom=str(locations or "[]").strip() not in ("[]", "null", ""),
        websocket=bool(websocket),
    )


def _names(text: str) -> tuple[str, ...]:
    """The names of a row; a list that cannot be read has none, since it cannot be one of ours."""
    try:
        names = json.loads(text)
    except ValueError:
        return ()
    return tuple(str(name) for name in names) if isinstance(names, list) else ()
