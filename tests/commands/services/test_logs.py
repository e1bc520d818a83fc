"""`logs`: what it requests of the VPS, what it refuses before anything, and how the lines look."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fabfile import output
from fabfile.commands.services.logs import DEFAULT_LINES
from tests.support.entry_points import DOORS, Run, islandflow
from tests.support.fake_host import FakeHost

both_doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)

LOGGED: list[dict[str, Any]] = [
    {"runtime": "native", "silent": []},
    {"time": 1767225601.5, "service": "api", "text": "ready\nat [4000]"},
    {"time": 1767225602.0, "service": "nats", "text": "started"},
]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    made = FakeHost()
    made.logged = LOGGED
    made.stand_in(monkeypatch)
    return made


def requested(host: FakeHost) -> Any:
    ((_, request),) = host.calls
    return request


def test_every_line_has_its_time_and_its_service(host: FakeHost) -> None:
    run = islandflow("logs")
    assert run.code == 0
    lines = [line.split() for line in run.out.splitlines()]
    assert lines == [
        ["00:00:01.500", "api", "ready"],
        ["00:00:01.500", "api", "at", "[4000]"],
        ["00:00:02.000", "nats", "started"],
    ]
    assert requested(host).lines == DEFAULT_LINES and not requested(host).follow
    assert {workload.runtime for workload in requested(host).workloads} == {"native", "docker"}


def test_json_has_a_line_for_each(host: FakeHost) -> None:
    lines = [json.loads(line) for line in islandflow("logs", "--json").out.splitlines()]
    assert [(line["kind"], line["time"], line["service"]) for line in lines] == [
        ("log", "2026-01-01T00:00:01.500Z", "api"),
        ("log", "2026-01-01T00:00:02.000Z", "nats"),
    ]
    assert lines[0]["text"] == "ready\nat [4000]" and lines[0]["runtime"] == "native"


@both_doors
def test_the_options_arrive(door: Callable[..., Run], host: FakeHost) -> None:
    words = ("logs", "--service", "api,nats", "-f", "--since", "1h30m", "--grep", "4[0-9]+", "-n", "7")
    assert door(*words).code == 0
    request = requested(host)
    assert {workload.name for workload in request.workloads} == {"api", "nats"}
    assert (request.follow, request.since, request.pattern, request.lines) == (True, 5400.0, "4[0-9]+", 7)


def test_an_age_without_a_number_means_all_of_that_time(host: FakeHost) -> None:
    islandflow("logs", "--since", "2d")
    assert (requested(host).since, requested(host).lines) == (172800.0, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "soon"), "--since soon is no age"),
        (("--since", "10"), "--since 10 is no age"),
        (("--since", "0s"), "--since 0s is no age"),
        (("--grep", "a("), "is no regular expression"),
        (("-n", "many"), "--lines many is no number"),
        (("-n", "0"), "--lines 0 is no number"),
        (("--service", "apy"), 'unknown service "apy"'),
        (("--service", "api,"), 'unknown service ""'),
    ],
)
@both_doors
def test_what_makes_no_sense_is_refused_before_anything(
    door: Callable[..., Run], host: FakeHost, words: tuple[str, str], said: str
) -> None:
    run = door("logs", *words)
    assert run.code == 2 and said in run.err and run.err.count("Error:") == 1
    assert host.calls == []


@both_doors
def test_ctrl_c_ends_it_with_130(door: Callable[..., Run], host: FakeHost) -> None:
    host.interrupted_at = 2
    run = door("logs", "--follow")
    assert run.code == 130 and "ready" in run.out and "Traceback" not in run.err


def test_what_can_not_be_read_is_a_warning(host: FakeHost) -> None:
    host.logged = [{"runtime": "docker", "silent": ["web", "news"]}, {"problem": "no daemon"}, *LOGGED[1:]]
    run = islandflow("logs")
    assert "docker owns the app and has no container of web, news" in run.err
    assert "no daemon; it is tried again" in run.err and "started" in run.out


def test_colours_are_for_terminals_that_want_them(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = islandflow("logs").out
    assert "\x1b[" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in islandflow("logs").out


def test_a_reader_that_has_enough_ends_it_without_an_error(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pipe to head: it would follow for ever."""
    monkeypatch.setattr(output, "reader_is_gone", lambda: True)
    run = islandflow("logs", "-f", "--json")
    assert run.code == 0 and run.err == "" and run.out == ""
