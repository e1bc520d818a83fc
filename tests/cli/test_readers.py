"""A reader of standard output that goes, as `head` does, is no fault of the command's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from invoke.program import Program

from fabfile import namespace, output
from fabfile.cli import cli
from fabfile.runner.wire.app import JetStream, Stream
from fabfile.runner.wire.edge import EdgeFacts
from fabfile.runner.wire.facts import Facts
from tests.support import inventories
from tests.support.events import begun, event, finished, tally
from tests.support.fake_host import GOOD_HOST, FakeHost

DOORS: dict[str, Callable[[list[str]], object]] = {
    "inv": lambda words: Program(namespace=namespace, binary="inv").run(["inv", *words]),
    "islandflow": lambda words: cli.main(words, prog_name="islandflow"),
}
both_doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    made = FakeHost(Facts(host=GOOD_HOST, owner="docker", edge=EdgeFacts(problem="no container")))
    made.stand_in(monkeypatch)
    monkeypatch.setattr(output._Unread, "gone", False)
    return made


def unread(door: Callable[[list[str]], object], *words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command whose standard output nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as ending:
            door(list(words))
            raise SystemExit(0)
    return int(ending.value.code or 0)


@both_doors
@pytest.mark.parametrize(
    ("words", "code"),
    [("history", 0), ("status", 0), ("status --json", 0), ("npm.status", 1), ("deploy", 2), ("revert --json", 2)],
)
def test_a_command_ends_with_the_code_that_it_has_earned(
    door: Callable[[list[str]], object],
    words: str,
    code: int,
    host: FakeHost,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if door is DOORS["islandflow"]:
        words = words.replace("npm.status", "npm status")
    assert unread(door, *words.split(), monkeypatch=monkeypatch) == code
    err = capfd.readouterr().err
    assert "fault of the tool" not in err and "Broken pipe" not in err and "Traceback" not in err


@both_doors
def test_a_plan_is_followed_to_its_end_all_the_same(
    door: Callable[[list[str]], object], host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.events["follow"] = [begun(), event("start", "files", 0), finished("done", impact={"flow.example": tally()})]
    host.past = host.events["follow"]
    assert unread(door, "attach", "--plan", "p1", "--json", monkeypatch=monkeypatch) == 0
    assert output.reader_is_gone()


@both_doors
def test_watching_without_an_end_ends_once_nobody_reads(
    door: Callable[[list[str]], object], host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def positions(*_: object) -> Iterator[tuple[float, JetStream]]:
        for number in range(1000):
            seen.append(number)
            yield float(number), JetStream("native", {"PRINTS": Stream(0, 0, number, number)})

    monkeypatch.setattr(host, "positions", positions)
    watching = ["streams.watch"] if door is DOORS["inv"] else ["streams", "watch"]
    unread(door, *watching, "--json", monkeypatch=monkeypatch)
    assert 0 < len(seen) < 10


@pytest.mark.parametrize("words", ["-m fabfile.cli --help", "-m invoke --list", "-m fabfile.cli history --help"])
def test_lists_and_helps_end_quietly_as_well(words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(inventories.REPOSITORY)}
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        argv = [sys.executable, *words.split()]
        cwd = inventories.REPOSITORY
        done = subprocess.run(argv, stdout=stream, stderr=subprocess.PIPE, text=True, env=environment, cwd=cwd)
    assert done.stderr == "", done.returncode
