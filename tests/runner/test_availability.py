"""What the users got, measured on a real TLS server that goes away and comes back."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fabfile.runner import availability
from fabfile.runner.availability import INTERVAL_SECONDS, Watcher, request
from fabfile.runner.journal import Journal, JournalFailed
from fabfile.runner.journal_reader import read_journal
from fabfile.runner.wire.plan import Watch
from tests.runner.support.servers import certificate, page, says, serving, trickle
from tests.runner.test_parking import eventually

NAME = "flow.example.test"


def stays_open(line: Any) -> None:
    """Answers in full and keeps the connection, though it was asked to close it."""
    line.recv(4096)
    line.sendall(page())
    time.sleep(60)


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
        began = time.monotonic()
        with Watcher((watch(port),), journal) as watcher:
            assert eventually(lambda: watcher.impact()["app"]["requests"] >= 4)
        impact = watcher.impact()["app"]
    assert impact["requests"] <= (time.monotonic() - began) / INTERVAL_SECONDS + 2
    assert (impact["failures"], impact["outage_ms"]) == (0, 0)
    assert read_journal(tmp_path) == []


def test_an_outage_is_measured_and_journaled_as_it_ends(tls: Any, journal: Journal, tmp_path: Path) -> None:
    with serving(says(page()), context=tls) as port:
        watcher = Watcher((watch(port),), journal)
        watcher.__enter__()
        assert eventually(lambda: watcher.impact()["app"]["requests"] >= 2)
        away = time.monotonic()
    assert eventually(lambda: watcher.impact()["app"]["failures"] >= 1)
    seen = time.monotonic()
    time.sleep(0.8)
    assert eventually(lambda: watcher.impact()["app"]["failures"] >= 3)
    back = time.monotonic()
    with serving(says(page()), port, tls):
        assert eventually(lambda: bool(read_journal(tmp_path)))
        over = time.monotonic()
        told = read_journal(tmp_path)
        watcher.__exit__(None, None, None)
    (outage,) = told
    assert outage["step"] is None and outage["evidence"]["watch"] == "app" and outage["evidence"]["over"]
    assert (back - seen) * 1000 - 1 <= outage["evidence"]["lasted_ms"] <= (over - away) * 1000 + 1
    impact = watcher.impact()["app"]
    assert impact["failures"] == sum(outage["evidence"]["errors"].values()) >= 3
    assert impact["outage_ms"] == outage["evidence"]["lasted_ms"]
    assert any("refused" in error for error in outage["evidence"]["errors"])
    for number, total in enumerate((impact["requests"], impact["failures"])):
        assert sum(part[number] for part in impact["over_time"]) == total, "over time it is the same"
    assert max(part[2] for part in impact["over_time"]) == impact["longest_wait_ms"]
    assert impact["over_time"][0][1] < impact["failures"], "those of its first half second are not all"


def test_time_is_counted_for_an_hour_and_no_longer(tls: Any, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "MAX_SLICES", 1)
    with serving(says(page()), context=tls) as port:
        with Watcher((watch(port),), journal) as watcher:
            time.sleep(availability.SLICE_SECONDS)
            asked = watcher.impact()["app"]["requests"]
            assert eventually(lambda: watcher.impact()["app"]["requests"] > asked + 1)
        impact = watcher.impact()["app"]
    ((counted, _, _),) = impact["over_time"]
    assert 0 < counted < impact["requests"]


def test_an_outage_that_did_not_end_is_journaled_as_unfinished(tls: Any, journal: Journal, tmp_path: Path) -> None:
    with serving(says(page(502)), context=tls) as port, Watcher((watch(port),), journal) as watcher:
        assert eventually(lambda: watcher.impact()["app"]["failures"] >= 2)
    (outage,) = read_journal(tmp_path)
    assert not outage["evidence"]["over"] and set(outage["evidence"]["errors"]) == {"answered 502"}
    assert watcher.impact()["app"]["failures"] == watcher.impact()["app"]["requests"]


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
        assert eventually(lambda: watcher.impact()["app"]["requests"] >= 6)
    impact = watcher.impact()["app"]
    assert impact["failures"] >= 3 and impact["outage_ms"] > 0


def test_in_a_hold_two_wait_and_no_more_and_the_longest_wait_is_the_hold(tls: Any, journal: Journal) -> None:
    release, asked = threading.Event(), threading.Semaphore(0)

    def held(line: Any) -> None:
        line.recv(4096)
        asked.release()
        release.wait(30)
        line.sendall(page())

    with serving(held, context=tls) as port:
        with Watcher((watch(port, 30),), journal) as watcher:
            assert asked.acquire(timeout=20)
            began = time.monotonic()
            assert asked.acquire(timeout=20), "one that hangs does not hide what the next one gets"
            assert not asked.acquire(timeout=1.5), "but nothing piles up"
            assert watcher.served_since(began).silent == 1
            held_for = time.monotonic() - began
            release.set()
            assert asked.acquire(timeout=20), "afterwards it goes on"
        impact = watcher.impact()["app"]
    assert impact["failures"] == 0 and impact["longest_wait_ms"] >= held_for * 1000
    parts = impact["over_time"][: int(held_for / availability.SLICE_SECONDS)]
    assert len(parts) >= 3 and all(part[2] > 0 for part in parts), "whoever comes in the middle waits as well"
    waits = [part[2] for part in parts]
    assert waits == sorted(waits, reverse=True), "and the less, the later"


def test_an_answer_that_takes_longer_is_followed_by_a_longer_rest(tls: Any, journal: Journal) -> None:
    """It must not be the load that makes a cold server slow."""
    ended: list[float] = []
    began: list[float] = []

    def slow(line: Any) -> None:
        began.append(time.monotonic())
        line.recv(4096)
        time.sleep(0.1)
        line.sendall(page())
        ended.append(time.monotonic())

    with serving(slow, context=tls) as port, Watcher((watch(port),), journal):
        deadline = time.monotonic() + 30
        while len(began) < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
    rests = [later - sooner for sooner, later in zip(ended, began[1:], strict=False)]
    assert len(rests) >= 3 and min(rests) >= 0.2, rests


def test_served_since_counts_recent_answers(tls: Any, journal: Journal) -> None:
    with serving(says(page()), context=tls) as port, Watcher((watch(port),), journal) as watcher:
        began, deadline = time.monotonic(), time.monotonic() + 20
        while not watcher.served_since(began).well and time.monotonic() < deadline:
            time.sleep(0.02)
        served = watcher.served_since(began)
        assert served.well and "requests through the edge were answered, the slowest after" in str(served)
        assert not watcher.served_since(time.monotonic() + 60).well, "nobody is known to have been served then"
    with Watcher((watch(1), watch(port)), journal) as watcher:
        deadline = time.monotonic() + 20
        while watcher.served_since(0).failures < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not watcher.served_since(0).well


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
        (trickle, "did not end within 3.0 s"),
        (lambda line: time.sleep(60), "timed out"),
    ],
)
def test_one_request_never_raises_and_ends_in_time(tls: Any, talk: Any, error: str) -> None:
    with serving(talk, context=tls) as port:
        started = time.monotonic()
        said = request(watch(port, 3))
        assert time.monotonic() - started < 30, "else it is a minute, or without end"
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
    assert eventually(lambda: threading.active_count() <= before + 1)


@pytest.mark.parametrize(("refusals", "good"), [((), False), ((401,), False), ((401, 444), True)])
def test_a_connection_that_the_edge_closes_without_an_answer_may_be_a_refusal(
    tls: Any, refusals: tuple[int, ...], good: bool
) -> None:
    with serving(says(b""), context=tls) as port:
        assert (request(dataclasses.replace(watch(port, 60), refusals=refusals)) == "") is good


@pytest.mark.parametrize(("refusals", "problem"), [((), "answered 401"), ((401, 403), "")])
def test_what_an_access_list_refuses_is_served(tls: Any, refusals: tuple[int, ...], problem: str) -> None:
    with serving(says(page(401)), context=tls) as port:
        assert request(dataclasses.replace(watch(port, 60), refusals=refusals)) == problem
