"""What a ClickHouse holds: rows by table, and where its data is (ClickHouse's HTTP interface)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from ...system import http
from ...wire.data import Count
from ..credentials import Credentials

ANSWER = 10.0  # seconds for one answer; a server that has just started reads its tables first
_SYSTEM = "('system', 'INFORMATION_SCHEMA', 'information_schema')"
_TABLES = (
    "SELECT database, name, engine, total_rows, create_table_query LIKE '% TTL %' AS expires FROM system.tables "
    f"WHERE database NOT IN {_SYSTEM} AND NOT is_temporary FORMAT JSONCompact"
)
_DISKS = "SELECT path FROM system.disks WHERE name = 'default' FORMAT JSONCompact"
_DENIED = (401, 403, 516)


class ClickHouseError(Exception):
    """ClickHouse answered with an error, or not as ClickHouse does."""


class LoginRefused(ClickHouseError):
    """It wants a login, or another one."""


def tables(address: str, port: int, login: Credentials) -> dict[str, Count]:
    """Rows by "database.table"; those without rows of their own (views, remote tables) count as none.

    Rows that expire, and those of engines that merge several into one, may grow fewer by themselves: then only that
    some are left is asked for. Raises ClickHouseError, OSError.
    """
    found = {}
    for database, name, engine, rows, expires in _rows(address, port, login, _TABLES):
        amount = int(rows or 0)
        merging = expires or not str(engine).removeprefix("Replicated").startswith("MergeTree")
        found[f"{database}.{name}"] = Count(amount, min(amount, 1) if merging else amount)
    return found


def path(address: str, port: int, login: Credentials) -> str:
    """Where its default disk is, as the server sees it. Raises as `tables` does."""
    return next((str(row[0]).rstrip("/") for row in _rows(address, port, login, _DISKS)), "")


def _rows(address: str, port: int, login: Credentials, query: str) -> list[Any]:
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
        rows: list[Any] = json.loads(answer.body)["data"]
    except (ValueError, LookupError, TypeError) as error:
        raise ClickHouseError("does not answer as ClickHouse does") from error
    return rows
