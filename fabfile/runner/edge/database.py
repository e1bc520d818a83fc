"""Reads and writes NPM's proxy_host rows: the few columns that decide where a host's requests go."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from ..system.deadline import Deadline
from ..system.machine import StepFailed
from ..wire import shape
from ..wire.edge import EdgeContainer, EdgeRef, ProxyHost, Values, has_name

LOCK_SECONDS = 5.0  # to wait for another writer before nothing is done
UNDO_LOCK_SECONDS = 30.0  # to wait for one when former values are put back

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
_READ_COLUMNS = ("id", "domain_names", *COLUMNS.values(), "modified_on", "meta", "locations", "certificate_id")
# What is ours in a row, and what follows from it; all the rest decides how NPM writes the host's file.
OWN_COLUMNS = frozenset((*COLUMNS.values(), "modified_on", "meta")) - {WEBSOCKET}
# A value that is None stands for the row's own.
_VALUES = [f"{column} = coalesce(?, {column})" for column in COLUMNS.values()]
_ASSIGNMENT, _EQUALITY = ", ".join(_VALUES), " AND ".join(_VALUES)


@dataclass(frozen=True)
class RowChange:
    """A row as it was read, and its new values."""

    row: ProxyHost
    values: Values


def foreign_database(ref: EdgeRef, container: EdgeContainer) -> str:
    """Return why NPM does not read the database that the inventory names; empty where it does, or that is unknown.

    Such a file may be there nevertheless, from the time before NPM was moved to another database.
    """
    if not container.database:
        return ""
    if container.database.startswith("/"):
        inside = PurePosixPath(container.database)
        path = f"{ref.root}{inside}" if inside.parts[:2] == ("/", "data") else ""
        if os.path.normpath(path) == os.path.normpath(ref.database):
            return ""
        where = f"{path or f'{inside}, in the container'} (DB_SQLITE_FILE)"
        return f"container {container.name} has its hosts in {where}, not in {ref.database}: correct edge.database"
    return (
        f"container {container.name} has its hosts in {container.database}, and reads nothing of {ref.database}: "
        "no row can be read, changed or put back from here, so nothing is written. Have NPM use SQLite, or point the "
        "hosts by NPM's own page or API"
    )


def live_rows(database: str, lock_seconds: float = LOCK_SECONDS) -> list[ProxyHost]:
    """Return every proxy host that is not deleted, by id. Raises StepFailed when the database cannot be read."""
    with _connect(database, lock_seconds) as connection:
        rows = connection.execute(f"SELECT {', '.join(_READ_COLUMNS)} FROM proxy_host WHERE is_deleted = 0 ORDER BY id")
        return [_row(values) for values in rows]


def live_streams(database: str) -> list[tuple[int, int, str]]:
    """Return number, port and target host of every stream that is enabled; none where there is no such table.

    Raises StepFailed when the database cannot be read.
    """
    with _connect(database) as connection:
        columns = {str(column[1]) for column in connection.execute("PRAGMA table_info(stream)")}
        if not columns:
            return []
        host = "forwarding_host" if "forwarding_host" in columns else "forward_ip"  # its name in former versions
        enabled = " AND enabled" if "enabled" in columns else ""
        query = f"SELECT id, incoming_port, {host} FROM stream WHERE is_deleted = 0{enabled} ORDER BY id"
        return [(int(number), int(port), str(target)) for number, port, target in connection.execute(query)]


def read_row(database: str, number: int) -> dict[str, object]:
    """Return every column of a row, by name; empty when there is no such row. Raises StepFailed as `live_rows` does."""
    with _connect(database) as connection:
        connection.row_factory = sqlite3.Row
        row = connection.execute("SELECT * FROM proxy_host WHERE id = ?", (number,)).fetchone()
        return dict(row) if row else {}


def row_problem(rows: Sequence[ProxyHost], domain: str) -> str:
    """Return why there is not exactly one row for `domain`, with the rows that there are; empty when there is one.

    Names are compared whole, since one name may contain another.
    """
    matches = [row for row in rows if has_name(row.names, domain)]
    if not matches:
        names = ", ".join(sorted(name for row in rows for name in row.names)) or "none"
        return f"no live proxy host has the name {domain} (names in the database: {names})"
    if len(matches) > 1:
        rows_text = ", ".join(f"{row.id} ({', '.join(row.names)} to {row.place})" for row in matches)
        return f"{len(matches)} live proxy hosts have the name {domain}: {rows_text}"
    return ""


def change_rows(database: str, changes: Sequence[RowChange]) -> None:
    """Write all changes in one transaction, or none.

    Raises StepFailed when a row is no longer what it was when it was read, or when the database stays
    locked by another writer for longer than `LOCK_SECONDS`.
    """
    with _connect(database) as connection, _transaction(connection):
        for change in changes:
            where, values = f"WHERE id = ? AND is_deleted = 0 AND {_EQUALITY}", (change.row.id, *change.row.values)
            if change.values == change.row.values:  # only the file changes
                (count,) = connection.execute(f"SELECT count(*) FROM proxy_host {where}", values).fetchone()
            else:
                count = connection.execute(
                    f"UPDATE proxy_host SET {_ASSIGNMENT}, modified_on = datetime('now', 'localtime') {where}",
                    (*change.values, *values),
                ).rowcount
            if count != 1:
                raise StepFailed(f"somebody else changed proxy host {change.row.id} meanwhile: nothing is written")


def restore_rows(database: str, rows: Sequence[ProxyHost]) -> list[int]:
    """Restore rows, our columns only, in one transaction; returns the ids of those that differed."""
    changed = []
    with _connect(database, UNDO_LOCK_SECONDS) as connection, _transaction(connection):
        for row in rows:
            values = (*row.values, row.meta)
            count = connection.execute(
                f"UPDATE proxy_host SET {_ASSIGNMENT}, meta = ?, modified_on = ?"
                f" WHERE id = ? AND NOT ({_EQUALITY} AND meta = ?)",
                (*values, row.modified_on, row.id, *values),
            ).rowcount
            if count:
                changed.append(row.id)
    return changed


def back_up(database: str, target: Path) -> None:
    """Copy the whole database by SQLite's own backup, which is consistent while others write.

    Raises StepFailed when the database stays locked for longer than `LOCK_SECONDS`.
    """
    deadline = Deadline(LOCK_SECONDS)

    def give_up_when_locked(_status: int, _remaining: int, _total: int) -> None:
        # Python's backup repeats for ever while another connection holds the lock.
        if deadline.passed:
            raise StepFailed(f"{database} stayed locked by another writer for {LOCK_SECONDS:g} s")

    with _connect(database, lock_seconds=0.1) as source, contextlib.closing(sqlite3.connect(target)) as copy:
        source.backup(copy, progress=give_up_when_locked, sleep=0.05)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _connect(database: str, lock_seconds: float = LOCK_SECONDS) -> Iterator[sqlite3.Connection]:
    # mode=rw: never make a new, empty database where there is none.
    uri = f"file:{quote(database)}?mode=rw"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=lock_seconds, isolation_level=None)
        with contextlib.closing(connection):
            yield connection
    except (sqlite3.Error, ValueError) as error:  # its own words need not be text
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
    row = dict(zip(_READ_COLUMNS, values))
    own = {name: row[column] for name, column in COLUMNS.items()}
    return ProxyHost(
        id=_number(row, "id"),
        names=_names(str(row["domain_names"])),
        enabled=bool(own["enabled"]),
        scheme=str(own["scheme"]),
        host=str(own["host"]),
        port=_number(row, COLUMNS["port"]),
        advanced=str(own["advanced"]),
        modified_on=str(row["modified_on"]),
        meta=str(row["meta"]),
        custom=str(row["locations"] or "[]").strip() not in ("[]", "null", ""),
        websocket=bool(own["websocket"]),
        certificate=_number(row, "certificate_id") if row["certificate_id"] else 0,
    )


def _number(row: Mapping[str, object], column: str) -> int:
    """A column's number. Raises StepFailed for what NPM never writes there."""
    value = row[column]
    if not isinstance(value, int):
        raise StepFailed(f"proxy host {row['id']!r} has {value!r:.40} as its {column}, which is no number")
    return value


def _names(text: str) -> tuple[str, ...]:
    """Parse the names of a row; an unreadable list has none, since it cannot be one of ours."""
    try:
        names = shape.parse(text)
    except ValueError:
        return ()
    return tuple(str(name) for name in names) if isinstance(names, list) else ()
