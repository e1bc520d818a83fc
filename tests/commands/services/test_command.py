"""`exec`: the words behind -- arrive as they are by both doors, and so does the exit code of the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from fabfile import output
from fabfile.commands.services.rest import rest_of_line
from fabfile.errors import UsageError
from tests.support.entry_points import DOORS, Run, islandflow
from tests.support.fake_host import FakeHost

both_doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    made = FakeHost()
    made.stand_in(monkeypatch)
    return made


@both_doors
def test_the_words_behind_the_dashes_arrive_as_they_are(door: Callable[..., Run], host: FakeHost) -> None:
    words = ("sh", "-c", 'echo "a  b" $HOME', "--json", "--", "-i", "")
    assert door("exec", "--service", "api", "--", *words).code == 0
    ((verb, request),) = host.calls
    assert verb == "command" and request.argv == words and not request.interactive
    assert [(w.name, w.runtime) for w in request.workloads] == [("api", "native"), ("api", "docker")]


@both_doors
def test_the_exit_code_is_the_commands_own(door: Callable[..., Run], host: FakeHost) -> None:
    host.exit_code = 42
    run = door("exec", "--service", "redis", "--", "redis-cli", "ping")
    assert run.code == 42 and run.err == ""


@both_doors
def test_with_json_its_output_is_lines(door: Callable[..., Run], host: FakeHost) -> None:
    host.printed = [("stdout", "eins\nzwö".encode()[:-1]), ("stderr", b"oh\n"), ("stdout", "ö".encode()[1:] + b"lf")]
    host.exit_code = 3
    run = door("exec", "--service", "api", "--json", "--", "true")
    lines = [json.loads(line) for line in run.out.splitlines()]
    assert [(line["stream"], line["text"]) for line in lines[:-1]] == [
        ("stdout", "eins"),
        ("stderr", "oh"),
        ("stdout", "zwölf"),
    ]
    assert (lines[-1]["kind"], lines[-1]["code"], run.code) == ("exit", 3, 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--service", "api"), "exec has no command"),
        (("--", "env"), "exec needs a service"),
        (("--service", "apy", "--", "env"), 'unknown service "apy"'),
        (("--service", "api,web", "--", "env"), "exec needs one service"),
        (("--service", "api", "-i", "--", "sh"), "--interactive needs a terminal"),
        (("--service", "api", "-i", "--json", "--", "sh"), "excludes --json"),
    ],
)
@both_doors
def test_what_makes_no_sense_is_refused_before_anything(
    door: Callable[..., Run], host: FakeHost, words: tuple[str, ...], said: str
) -> None:
    run = door("exec", *words)
    assert run.code == 2 and said in run.err and host.calls == []


def test_an_option_before_the_dashes_is_no_part_of_the_command(host: FakeHost) -> None:
    run = islandflow("exec", "--service", "api", "ls", "-l")
    assert run.code == 2 and host.calls == []


@both_doors
def test_ctrl_c_ends_the_command(door: Callable[..., Run], host: FakeHost) -> None:
    host.interrupted_at = 0
    run = door("exec", "--service", "api", "--", "sleep", "600")
    assert run.code == 130 and "The command beside api was ended." in run.err


def test_fab_is_refused_since_it_would_run_the_words_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/fab", "-H", "vps", "exec", "--service", "api", "--", "env"])
    with pytest.raises(UsageError, match="fab itself runs"):
        rest_of_line()


def test_where_nobody_reads_it_ends_as_by_sigpipe(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(stream: str, data: bytes) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    given_up: list[Any] = []
    host.printed = [("stdout", b"x")]
    monkeypatch.setattr("fabfile.commands.services.command._pass_on", gone)
    monkeypatch.setattr(output, "give_up", given_up.append)
    run = islandflow("exec", "--service", "api", "--", "yes")
    assert run.code == 141 and run.err == "" and len(given_up) == 1
