"""What a ClickHouse holds: rows by table, and where its data is (ClickHouse's HTTP interface)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from ...system import http
from ...wire import shape
from ...wire.data import Count
from ..credentials import Credentials

ANSWER = 10.0  # seconds for one answer; a server that has just started reads its tables first
_SYSTEM = "('system', 'INFORMATION_SCHEMA', 'information_schema')"
_TABLES = (
    "SELECT database, name, engine, total_rows, storage_policy FROM system.tables "
    f"WHERE database NOT IN {_SYSTEM} AND NOT is_temporary FORMAT JSONCompact"
)
# Parts that will expire within the hour need not stay: they may go as the next server starts.
_PARTS = (
    "SELECT database, table, sum(max_block_number - min_block_number + 1) AS blocks, "
    "sumIf(max_block_number - min_block_number + 1, "
    "delete_ttl_info_max <= toDateTime(0) OR delete_ttl_info_max > now() + 3600) AS lasting, "
    "groupUniqArray(disk_name) AS disks "
    f"FROM system.parts WHERE active AND database NOT IN {_SYSTEM} GROUP BY database, table FORMAT JSONCompact"
)
_DISKS = "SELECT path FROM system.disks WHERE name = 'default' FORMAT JSONCompact"
_KEEPS_ROWS = ("Log", "TinyLog", "StripeLog", "Set", "Join")  # engines that store rows and never merge them
_DEFAULT = "default"  # the disk and the policy
_STRANGE = "does not answer as ClickHouse does"
_DENIED = (401, 403, 516)


class ClickHouseError(Exception):
    """ClickHouse answered with an error, or not as ClickHouse does."""


class LoginRefused(ClickHouseError):
    """It wants a login, or another one."""


@dataclass(frozen=True)
class Table:
    """A table's engine and rows. A view, or a table that reads others, tells theirs or none."""

    engine: str
    rows: int
    policy: str = ""  # by which ClickHouse chooses its disk; empty where its engine has no choice

    @property
    def in_memory(self) -> bool:
        """Whether no restart keeps its rows."""
        return self.engine == "Memory"

    @property
    def in_parts(self) -> bool:
        """Whether ClickHouse keeps it in parts, which it merges as it sees fit."""
        return self.engine.endswith("MergeTree")


@dataclass(frozen=True)
class Parts:
    """The parts of a table: how many blocks of insertions they cover, and the disks that they are on.

    Rows may grow fewer by themselves: merging drops those that are replaced, deleted or expired. The blocks that a
    merged part covers are those of its sources, so their number falls only where a part is lost.
    """

    blocks: Count
    disks: tuple[str, ...]


def tables(address: str, port: int, login: Credentials) -> dict[str, Table]:
    """Every table by "database.name". Raises ClickHouseError, OSError."""
    found = {}
    for database, name, engine, count, policy in _rows(address, port, login, _TABLES, 5):
        found[f"{database}.{name}"] = Table(str(engine), _number(count or 0), str(policy or ""))
    return found


def parts(address: str, port: int, login: Credentials) -> dict[str, Parts]:
    """The parts of each table that has some, by "database.name". Raises as `tables` does."""
    found = {}
    for database, name, every, lasting, disks in _rows(address, port, login, _PARTS, 5):
        if not isinstance(disks, list):
            raise ClickHouseError(_STRANGE)
        found[f"{database}.{name}"] = Parts(Count(_number(every), _number(lasting)), tuple(map(str, disks)))
    return found


def counts(every: Mapping[str, Table], parts: Mapping[str, Parts]) -> dict[str, Count]:
    """What must still be there after a hand-over: every table, the blocks of parts, and rows that are never merged."""
    amounts: dict[str, Count] = {}
    for name, table in every.items():
        amounts[name] = Count(table.rows, table.rows if table.engine in _KEEPS_ROWS else 0)
        if table.in_parts:
            amounts[f"blocks of {name}"] = parts[name].blocks if name in parts else Count(0, 0)
    return amounts


def on_other_disks(every: Mapping[str, Table], parts: Mapping[str, Parts]) -> list[str]:
    """The tables that need more than the one disk and storage policy that each ClickHouse has by itself."""
    elsewhere = {name for name, of_table in parts.items() if set(of_table.disks) - {_DEFAULT}}
    return sorted(elsewhere | {name for name, table in every.items() if table.policy not in ("", _DEFAULT)})


def path(address: str, port: int, login: Credentials) -> str:
    """Where its default disk is, as the server sees it. Raises as `tables` does."""
    return next((str(row[0]).rstrip("/") for row in _rows(address, port, login, _DISKS, 1)), "")


def _rows(address: str, port: int, login: Credentials, query: str, columns: int) -> list[list[object]]:
    headers = {}
    if not (login.user + login.password).isprintable():  # the error of a header would quote it
        raise ClickHouseError("can't be asked: its login has characters that no HTTP header may hold")
    if login:
        headers = {"X-ClickHouse-User": login.user or "default", "X-ClickHouse-Key": login.password}
    answer = http.request(address, port, f"/?query={quote(query)}", seconds=ANSWER, headers=headers)
    if answer.status != 200:
        code = answer.headers.get("x-clickhouse-exception-code", "")
        refused = answer.status in _DENIED or code in ("193", "194", "516")
        text = answer.body.decode(errors="replace").strip().splitlines() or [""]
        raise (LoginRefused if refused else ClickHouseError)(f"answers {answer.status} {text[0][:200]}")
    try:
        rows = shape.parse(answer.body)["data"]
    except (ValueError, LookupError, TypeError) as error:
        raise ClickHouseError(_STRANGE) from error
    if not isinstance(rows, list) or any(not isinstance(row, list) or len(row) != columns for row in rows):
        raise ClickHouseError(_STRANGE)
    return rows


def _number(value: object) -> int:
    """A number, which ClickHouse may quote."""
    text = str(value)
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise ClickHouseError(_STRANGE)
    return int(text)
