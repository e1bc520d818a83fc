"""NPM's proxy_host rows: the few columns that say where a host's requests go."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ..system.deadline import Deadline
from ..system.machine import StepFailed
from ..wire.edge import ProxyHost, Values

BUSY = 5.0  # seconds to wait for another writer before nothing is done
PATIENCE = 30.0  # seconds to wait for one when former values are put back

WEBSOCKET = "allow_websocket_upgrade"  # ours where the public gets a host back that led nowhere
# The fields of Values, in their order, and NPM's names for them, in its database and in its API.
COLUMNS = {
    "scheme": "forward_scheme",
    "host": "forward_host",
    "port": "forward_port",
    "advanced": "advanced_config",
    "enabled": "enabled",
    "websocket": WEBSOCKET,
}
_READ = ("id", "domain_names", *COLUMNS.values(), "modified_on", "meta", "locations")
# What is ours in a row, and what follows from it; all the rest decides how NPM writes the host's file.
OURS = frozenset((*COLUMNS.values(), "modified_on", "meta")) - {WEBSOCKET}
# A value that is None stands for the row's own.
_VALUES = [f"{column} = coalesce(?, {column})" for column in COLUMNS.values()]
_ASSIGNED, _SAME = ", ".join(_VALUES), " AND ".join(_VALUES)


@dataclass(frozen=True)
class RowChange:
    """A row as it is, and the values it shall get."""

    row: ProxyHost
    values: Values


def live_rows(database: str, busy: float = BUSY) -> list[ProxyHost]:
    """Every proxy host that is not deleted, by id. Raises StepFailed when the database cannot be read."""
    with _opened(database, busy) as connection:
        found = connection.execute(f"SELECT {', '.join(_READ)} FROM proxy_host WHERE is_deleted = 0 ORDER BY id")
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
                f"UPDATE proxy_host SET {_ASSIGNED}, modified_on = datetime('now', 'localtime')"
                f" WHERE id = ? AND is_deleted = 0 AND {_SAME}",
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
                f"UPDATE proxy_host SET {_ASSIGNED}, meta = ?, modified_on = ?"
                f" WHERE id = ? AND NOT ({_SAME} AND meta = ?)",
                (*values, row.modified_on, row.id, *values),
            ).rowcount
            if done:
                changed.append(row.id)
    return changed


def back_up(database: str, target: Path) -> None:
    """Copy the whole database by SQLite's own backup, which is consistent while others write.

    Raises StepFailed when the database stays locked for longer than `BUSY` seconds.
    """
    deadline = Deadline(BUSY)

    def bounded(_status: int, _remaining: int, _total: int) -> None:
        # Python's backup repeats for ever while another connection holds the lock.
        if deadline.passed:
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
    row = dict(zip(_READ, values))
    own = {name: row[column] for name, column in COLUMNS.items()}
    return ProxyHost(
        id=int(str(row["id"])),
        names=_names(str(row["domain_names"])),
        enabled=bool(own["enabled"]),
        scheme=str(own["scheme"]),
        host=str(own["host"]),
        port=int(str(own["port"])),
        advanced=str(own["advanced"]),
        modified_on=str(row["modified_on"]),
        meta=str(row["meta"]),
        custom=str(row["locations"] or "[]").strip() not in ("[]", "null", ""),
        websocket=bool(own["websocket"]),
    )


def _names(text: str) -> tuple[str, ...]:
    """The names of a row; a list that cannot be read has none, since it cannot be one of ours."""
    try:
        names = json.loads(text)
    except ValueError:
        return ()
    return tuple(str(name) for name in names) if isinstance(names, list) else ()
