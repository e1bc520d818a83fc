"""What the users felt, measured on a real TLS server that goes away and comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner import watch as watching
from fabfile.runner.journal import Journal, JournalFailed
from fabfile.runner.model import Watch
from fabfile.runner.ops import read_journal
from fabfile.runner.watch import EVERY, Watcher, request

from .servers import certificate, page, says, serving, trickle

NAME = "flow.example.test"


def stays_open(line: Any) -> None:
    """Answers in full and keeps the connection, though it was asked to close it."""
    line.recv(4096)
    line.sendall(page())
    time.sleep(2)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return certificate(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal.jsonl", "p")
    yield made
    made.close()


def watch(port: int, timeout: float = 2.0) -> Watch:
    return Watch("app", "127.0.0.1", port, NAME, "/", timeout)


def test_without_an_outage_nothing_is_journaled(tls: Any, journal: Journal, tmp_path: Path) -> None:
    with serving(says(page()), context=tls) as port:
        with Watcher((watch(port),), journal) as watcher:
            time.sleep(0.6)
        felt = watcher.felt()["app"]
    assert 4 <= felt["requests"] <= 0.6 / EVERY + 2
    assert (felt["failures"], felt["outage_ms"]) == (0, 0)
    assert read_journal(tmp_path) == []


def test_an_outage_is_measured_and_journaled_as_it_ends(tls: Any, journal: Journal, tmp_path: Path) -> None:
    with serving(says(page()), context=tls) as port:
        watcher = Watcher((watch(port),), journal)
        watcher.__enter__()
        time.sleep(0.4)
    away = time.monotonic()
    time.sleep(0.8)
    with serving(says(page()), port, tls):
        lasted = time.monotonic() - away
        time.sleep(0.6)
        told = read_journal(tmp_path)
        watcher.__exit__(None, None, None)
    (outage,) = told
    assert outage["step"] is None and outage["evidence"]["watch"] == "app" and outage["evidence"]["over"]
    assert outage["evidence"]["lasted_ms"] == pytest.approx(lasted * 1000, abs=350)
    felt = watcher.felt()["app"]
    assert felt["failures"] == sum(outage["evidence"]["errors"].values()) >= 3
    assert felt["outage_ms"] == outage["evidence"]["lasted_ms"]
    assert any("refused" in error for error in outage["evidence"]["errors"])
    for number, key in enumerate(("requests", "failures")):
        assert sum(part[number] for part in felt["over_time"]) == felt[key], "over time it is the same"
    assert max(part[2] for part in felt["over_time"]) == felt["longest_wait_ms"]
    assert felt["over_time"][0][1] < felt["failures"], "those of its first half second are not all"


def test_time_is_counted_for_an_hour_and_no_longer(tls: Any, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST", 1)
    with serving(says(page()), context=tls) as port:
        with Watcher((watch(port),), journal) as watcher:
            time.sleep(watching.SLICE + 0.3)
        felt = watcher.felt()["app"]
    ((counted, _, _),) = felt["over_time"]
    assert 0 < counted < felt["requests"]


def test_an_outage_that_did_not_end_is_told_as_such(tls: Any, journal: Journal, tmp_path: Path) -> None:
    with serving(says(page(502)), context=tls) as port, Watcher((watch(port),), journal) as watcher:
        time.sleep(0.4)
    (outage,) = read_journal(tmp_path)
    assert not outage["evidence"]["over"] and set(outage["evidence"]["errors"]) == {"answered 502"}
    assert watcher.felt()["app"]["failures"] == watcher.felt()["app"]["requests"]


def test_a_journal_that_fails_stops_no_measuring(tls: Any, monkeypatch: pytest.MonkeyPatch, journal: Journal) -> None:
    def full(*args: Any, **evidence: Any) -> None:
        raise JournalFailed("no space")

    monkeypatch.setattr(journal, "write", full)
    answers = iter([502, 200] * 1000)
    mutex = threading.Lock()

    def flapping(line: Any) -> None:
        line.recv(4096)
        with mutex:
            line.sendall(page(next(answers)))

    with serving(flapping, context=tls) as port, Watcher((watch(port),), journal) as watcher:
        time.sleep(1.0)
    felt = watcher.felt()["app"]
    assert felt["requests"] >= 6 and felt["failures"] >= 3 and felt["outage_ms"] > 0


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (says(page(404)), "answered 404"),
        (says(page(302, headers={"Location": "/"})), ""),
        (says(b"nonsense\r\n\r\n"), "BadStatusLine"),
        (says(b""), "RemoteDisconnected"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"), "IncompleteRead"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), ""),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhi"), "IncompleteRead"),
        (stays_open, ""),
        (trickle, "never ends"),
        (lambda line: time.sleep(2), "timed out"),
    ],
)
def test_one_request_never_raises_and_ends_in_time(tls: Any, talk: Any, error: str) -> None:
    with serving(talk, context=tls) as port:
        started = time.monotonic()
        said = request(watch(port, 0.5))
        assert time.monotonic() - started < 2
    assert error in said and bool(said) == bool(error), said


def test_a_server_without_tls_is_no_answer() -> None:
    with serving(says(page())) as port:
        assert "SSL" in request(watch(port))


def test_leaving_ends_every_thread(tls: Any, journal: Journal) -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), serving(says(page()), context=tls) as port:
        with Watcher((watch(port), watch(1)), journal):
            time.sleep(0.1)
            raise KeyError("a fault of ours")
    time.sleep(0.2)
    assert threading.active_count() <= before + 1
