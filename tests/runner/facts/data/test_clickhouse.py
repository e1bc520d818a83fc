"""What a ClickHouse holds: rows that must stay, and every way of not answering."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from fabfile.runner.facts.data.holding import holdings
from fabfile.runner.system.machine import Machine
from fabfile.runner.wire.app import Environment
from fabfile.runner.wire.data import Count, DataRef, Holding, losses
from tests.runner.support.servers import says, serving

FOLDER = "/srv/clickhouse"


def clickhouse(
    tables: list[list[object]], path: str = f"{FOLDER}/", login: str = "", blocks: Sequence[list[object]] = ()
) -> Callable[[socket.socket], None]:
    """A server with those tables. With `login` ("user:key") it wants one."""

    answers = {
        "system.disks": [[path]],
        "system.tables": [row if len(row) > 4 else [*row, "default"] for row in tables],
        "system.parts": [row if len(row) > 4 else [*row, ["default"]] for row in blocks],
    }

    def talk(line: socket.socket) -> None:
        head = line.recv(65536).decode()
        headers = dict(text.split(": ", 1) for text in head.split("\r\n")[1:] if ": " in text)
        given = f"{headers.get('X-ClickHouse-User', '')}:{headers.get('X-ClickHouse-Key', '')}"
        query = parse_qs(urlsplit(head.split()[1]).query)["query"][0]
        rows = next(rows for name, rows in answers.items() if f"FROM {name} " in query)
        status, body = 200, json.dumps({"data": rows})
        if login and given != login:
            status, body = 403, "Code: 516. DB::Exception: default: Authentication failed: password is incorrect"
        line.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())

    return talk


def asked(talk: Callable[[socket.socket], None], tmp_path: Path, url: str = "") -> Holding:
    env = tmp_path / "env"
    env.write_text(f"CLICKHOUSE_URL={url}\n" if url else "")
    environment = Environment("native", str(env), str(tmp_path / "no-overrides"))
    with serving(talk) as port:
        ref = DataRef("clickhouse", "native", port, "infra.clickhouse.port", FOLDER, environment)
        return holdings(Machine(tmp_path), [ref])["native/clickhouse"]


def test_what_must_stay_is_every_table_the_blocks_of_its_parts_and_the_rows_of_those_without_parts(
    tmp_path: Path,
) -> None:
    tables: list[list[object]] = [
        ["default", "prints", "MergeTree", "1000"],
        ["default", "latest", "ReplicatedReplacingMergeTree", "70"],
        ["default", "nothing", "MergeTree", "0"],
        ["default", "log", "TinyLog", "8"],
        ["default", "a_view", "View", None],
        ["default", "cache", "Memory", "5"],
    ]
    holding = asked(
        clickhouse(tables, blocks=[["default", "prints", "12", "12"], ["default", "latest", "9", "4"]]), tmp_path
    )
    assert holding.counts == {
        "default.prints": Count(1000, 0),
        "blocks of default.prints": Count(12, 12),
        "default.latest": Count(70, 0),
        "blocks of default.latest": Count(9, 4),
        "default.nothing": Count(0, 0),
        "blocks of default.nothing": Count(0, 0),
        "default.log": Count(8, 8),
        "default.a_view": Count(0, 0),
        "default.cache": Count(5, 0),
    }
    assert holding.volatile == ("table default.cache",)


@pytest.mark.parametrize(
    "engine",
    [
        "MaterializedView",
        "View",
        "LiveView",
        "WindowView",
        "Merge",
        "Distributed",
        "Buffer",
        "Dictionary",
        "URL",
        "MySQL",
    ],
)
def test_a_table_whose_rows_are_anothers_need_only_be_there(engine: str, tmp_path: Path) -> None:
    """It tells the rows of the table behind it, which merging makes fewer."""
    before, after = (asked(clickhouse([["default", "daily", engine, rows]]), tmp_path) for rows in ("1200", "400"))
    assert losses(before, after) == []
    (loss,) = losses(before, asked(clickhouse([]), tmp_path))
    assert loss.startswith("default.daily: ") and loss.endswith("nothing now")


@pytest.mark.parametrize("engine", ["Log", "TinyLog", "StripeLog", "Set", "Join"])
def test_a_table_that_holds_rows_and_never_merges_must_keep_them(engine: str, tmp_path: Path) -> None:
    before, after = (asked(clickhouse([["default", "seen", engine, rows]]), tmp_path) for rows in ("8", "7"))
    assert losses(before, after) == ["default.seen: 8 before, 7 now"]


def test_another_directory_than_the_shared_one_is_named(tmp_path: Path) -> None:
    assert asked(clickhouse([]), tmp_path).elsewhere == ()
    (reason,) = asked(clickhouse([], "/var/lib/clickhouse/"), tmp_path).elsewhere
    assert reason == "it keeps its data in /var/lib/clickhouse, and not in /srv/clickhouse"


def test_tables_that_native_s_one_disk_does_not_have_are_named(tmp_path: Path) -> None:
    tables: list[list[object]] = [
        ["default", "cold", "MergeTree", "9", "tiered"],
        ["default", "moved", "MergeTree", "9", "default"],
        ["default", "plain", "MergeTree", "9", "default"],
        ["default", "a_view", "View", None, ""],
    ]
    blocks: list[list[object]] = [
        ["default", "moved", "2", "2", ["default", "second"]],
        ["default", "plain", "1", "1", ["default"]],
    ]
    (reason,) = asked(clickhouse(tables, blocks=blocks), tmp_path).unreadable
    assert reason.endswith("a storage policy of their own: default.cold, default.moved")
    assert asked(clickhouse(tables[2:], blocks=blocks[1:]), tmp_path).unreadable == ()


def test_it_logs_in_with_the_apps_own_url(tmp_path: Path) -> None:
    server = clickhouse([["default", "log", "Log", "3"]], login="app:pw")
    assert asked(server, tmp_path, "http://app:pw@clickhouse:8123").counts == {"default.log": Count(3, 3)}
    assert "wants a login, and there is none" in asked(server, tmp_path).problem
    refused = asked(server, tmp_path, "http://app:wr0ng@clickhouse:8123").problem
    assert "refuses the login of CLICKHOUSE_URL" in refused and "wr0ng" not in refused


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOk.",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n",
        b"-ERR unknown command\r\n",
    ],
    ids=["closes", "text", "a list", "cut off", "an error", "Redis"],
)
def test_what_is_no_clickhouse_is_a_problem_in_words(words: bytes, tmp_path: Path) -> None:
    found = asked(says(words), tmp_path)
    assert found.problem.startswith("native's clickhouse") and not found.counts


def test_one_that_lets_anybody_in_is_asked_as_the_app_all_the_same(tmp_path: Path) -> None:
    """Whoever it lets in without a login may see less, or something else."""
    of_app, of_others = clickhouse([["app", "log", "Log", "3"]], login="app:pw"), clickhouse([])

    def talk(line: socket.socket) -> None:
        head = line.recv(65536, socket.MSG_PEEK).decode()
        (of_app if "X-ClickHouse-User" in head else of_others)(line)

    assert asked(talk, tmp_path).counts == {}
    assert asked(talk, tmp_path, "http://app:pw@clickhouse:8123").counts == {"app.log": Count(3, 3)}
    problem = asked(talk, tmp_path, "http://app:wr0ng@clickhouse:8123").problem
    assert "refuses the login of CLICKHOUSE_URL" in problem and "wr0ng" not in problem


def test_a_login_that_the_app_itself_does_not_use_is_tried_last(tmp_path: Path) -> None:
    """An override gives the app an address without the login that the env file has for the other runtime's."""
    (tmp_path / "no-overrides").write_text("CLICKHOUSE_URL=http://127.0.0.1:8123\n")
    open_to_all = clickhouse([["app", "log", "Log", "3"]], login=":")
    assert asked(open_to_all, tmp_path, "http://app:pw@clickhouse:8123").counts == {"app.log": Count(3, 3)}
