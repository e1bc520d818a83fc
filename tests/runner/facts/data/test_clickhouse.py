"""What a ClickHouse holds: rows that must stay, and every way of not answering."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from fabfile.runner.facts.data.holding import holdings
from fabfile.runner.system.machine import Machine
from fabfile.runner.wire.app import Environment
from fabfile.runner.wire.data import Count, DataRef, Holding
from tests.runner.support.servers import says, serving

FOLDER = "/srv/clickhouse"


def clickhouse(rows: list[list[object]], path: str = f"{FOLDER}/", login: str = "") -> Callable[[socket.socket], None]:
    """A server with those tables. With `login` ("user:key") it wants one."""

    def talk(line: socket.socket) -> None:
        head = line.recv(65536).decode()
        headers = dict(text.split(": ", 1) for text in head.split("\r\n")[1:] if ": " in text)
        given = f"{headers.get('X-ClickHouse-User', '')}:{headers.get('X-ClickHouse-Key', '')}"
        query = parse_qs(urlsplit(head.split()[1]).query)["query"][0]
        status, body = 200, json.dumps({"data": [[path]] if "system.disks" in query else rows})
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


def test_rows_are_counted_by_table_as_far_as_they_must_stay(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        ["default", "prints", "MergeTree", "1000", 0],
        ["default", "replicated", "ReplicatedMergeTree", "9", 0],
        ["default", "old", "MergeTree", "1000", 1],
        ["default", "latest", "ReplacingMergeTree", "70", 0],
        ["default", "nothing", "ReplacingMergeTree", "0", 0],
        ["default", "a_view", "View", None, 0],
    ]
    assert asked(clickhouse(rows), tmp_path).counts == {
        "default.prints": Count(1000, 1000),
        "default.replicated": Count(9, 9),
        "default.old": Count(1000, 1),
        "default.latest": Count(70, 1),
        "default.nothing": Count(0, 0),
        "default.a_view": Count(0, 0),
    }


def test_another_directory_than_the_shared_one_is_named(tmp_path: Path) -> None:
    assert asked(clickhouse([]), tmp_path).elsewhere == ()
    (reason,) = asked(clickhouse([], "/var/lib/clickhouse/"), tmp_path).elsewhere
    assert reason == "it keeps its data in /var/lib/clickhouse, and not in /srv/clickhouse"


def test_it_logs_in_with_the_apps_own_url(tmp_path: Path) -> None:
    server = clickhouse([["default", "prints", "MergeTree", "3", 0]], login="app:pw")
    assert asked(server, tmp_path, "http://app:pw@clickhouse:8123").counts == {"default.prints": Count(3, 3)}
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
