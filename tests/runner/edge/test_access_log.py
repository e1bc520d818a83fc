"""The edge's own account of its answers: NPM's log format, and logs that are rotated while they are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.edge.access_log import EdgeLogs, count
from fabfile.runner.wire.soak import Served
from tests.runner.support.fake_edge import API_DOMAIN, FakeEdge
from tests.runner.support.npm_shape import DOMAIN


def log_line(status: int, upstream: str = "200", uri: str = "/") -> bytes:
    """A line as NPM's `proxy` log format has it."""
    where = f'GET https {DOMAIN} "{uri}" [Client 127.0.0.1] [Length 12] [Gzip -] [Sent-to web]'
    return f'[01/Jan/2026:12:00:00 +0000] - {upstream} {status} - {where} "curl 500 - GET" "-"'.encode()


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        (log_line(200), 0),
        (log_line(404), 0),
        (log_line(499), 0),
        (log_line(500, "500"), 1),
        (log_line(502, "502, 502"), 1),
        (log_line(200, "502, 200"), 0),
        (log_line(504, "-"), 1),
        (log_line(200, uri="/prints/502 - GET"), 0),
    ],
)
def test_the_edges_answer_is_counted_and_not_the_upstreams(text: bytes, errors: int) -> None:
    assert count([text]) == Served(1, errors)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([log_line(200), log_line(503)])))
def test_a_line_in_any_format_is_counted_or_left_out(lines: list[bytes]) -> None:
    found = count(lines)
    assert lines.count(log_line(503)) <= found.errors <= found.answers <= len(lines)


@pytest.fixture
def edge(tmp_path: Path) -> FakeEdge:
    return FakeEdge(tmp_path)


@pytest.fixture
def log(edge: FakeEdge) -> Path:
    """The app's access log, with an old answer in it."""
    path = edge.root / "data/logs/proxy-host-1_access.log"
    path.parent.mkdir(parents=True)
    path.write_bytes(log_line(500) + b"\n")
    return path


def test_only_whole_lines_added_since_the_last_call_count(edge: FakeEdge, log: Path) -> None:
    logs = EdgeLogs(edge.ref)
    assert logs.new_counts() == {DOMAIN: Served(0, 0)}, "the API has no log yet"
    with log.open("ab") as file:
        file.write(log_line(200) + b"\n" + log_line(502)[:40])
        file.flush()
        assert logs.new_counts() == {DOMAIN: Served(1, 0)}
        file.write(log_line(502)[40:] + b"\n")
    (log.parent / "proxy-host-2_access.log").write_bytes(log_line(503) + b"\n")
    assert logs.new_counts() == {DOMAIN: Served(1, 1), API_DOMAIN: Served(1, 1)}
    logs.close()


def test_a_rotated_log_is_read_to_its_end_and_the_new_one_from_its_beginning(edge: FakeEdge, log: Path) -> None:
    logs = EdgeLogs(edge.ref)
    with log.open("ab") as file:
        log.rename(log.with_suffix(".1"))
        log.write_bytes(log_line(502) + b"\n")
        file.write(log_line(503) + b"\n")
    assert logs.new_counts()[DOMAIN] == Served(2, 2)
    log.write_bytes(b"")
    assert logs.new_counts()[DOMAIN] == Served(0, 0)
    log.write_bytes(log_line(500) + b"\n")
    assert logs.new_counts()[DOMAIN] == Served(1, 1)
    log.unlink()
    assert logs.new_counts() == {}
    logs.close()


def test_without_the_database_no_host_is_counted(edge: FakeEdge, log: Path) -> None:
    logs = EdgeLogs(edge.ref)
    Path(edge.ref.database).write_bytes(b"nonsense" * 100)
    assert logs.new_counts() == {}
    logs.close()
