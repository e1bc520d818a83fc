"""Work on several hosts: a process for each, prefixed lines, one table, and the worst host's exit code."""

from __future__ import annotations

import contextlib
import getpass
import io
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabfile.commands import apply, npm_token, session
from fabfile.commands.hosts import run
from fabfile.commands.hosts.choice import Choice
from fabfile.plans.plan import Plan
from fabfile.remote import login_errors
from fabfile.runner.wire.edge import EdgeRef
from fabfile.runner.wire.events import Event
from fabfile.runner.wire.facts import Facts, FactsRequest
from tests.support import json_lines
from tests.support.entry_points import Run, fab, inv, islandflow
from tests.support.events import begun, finished
from tests.support.fake_host import FakeHost
from tests.support.inventories import changed, toml

NAMES = ("a", "b", "long")
EDGE = EdgeRef("/npm", "/npm/db", "npm", "npm-shared", ("a.example",))
SOON = 30.0  # seconds within which a busy machine does what it is about to do


class Diary:
    """What the processes of several hosts note, one line each, in a file that they share."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def note(self, text: str) -> None:
        with open(self._path, "a") as file:
            file.write(f"{text}\n")

    @property
    def lines(self) -> list[str]:
        return self._path.read_text().splitlines()

    def wait_for(self, count: int, what: str) -> None:
        """Wait until so many lines begin so."""
        until = time.monotonic() + SOON
        while sum(line.startswith(what) for line in self.lines) < count:
            assert time.monotonic() < until, f"{what} is not {count} times in {self.lines}"
            time.sleep(0.01)


class OneOfSeveral(FakeHost):
    """A stand-in for one of the hosts; `meet` so many of them must be at work at once before one goes on."""

    def __init__(self, name: str, diary: Diary, facts: Facts) -> None:
        super().__init__(facts)
        self.own_name, self.diary = name, diary
        self.meet = 1
        self.unreachable = False
        self.events["ship"] = [replace(event, plan=f"{event.plan}-{name}") for event in (begun(), finished("done"))]

    @property
    def name(self) -> str:
        return self.own_name

    def survey(self, wanted: FactsRequest, meanwhile: Callable[[], None] = lambda: None) -> Facts:
        self.diary.note(f"survey {self.own_name}")
        self.diary.wait_for(self.meet, "survey")
        if self.unreachable:
            raise login_errors.timed_out("vps.example:22", 10)
        return super().survey(wanted, meanwhile)

    def ship(self, plan: Plan, facts: Facts, secrets: Mapping[str, str]) -> Iterator[Event]:
        yield from super().ship(plan, facts, secrets)
        self.diary.note(f"end {self.own_name} {sorted(secrets)}")


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "diary")


@pytest.fixture
def hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, docker_serves: Facts, diary: Diary
) -> dict[str, OneOfSeveral]:
    entries = {name: {"address": f"{name}.example", "user": "delta"} for name in NAMES}
    file = tmp_path / "several.toml"
    file.write_text(toml(changed({"hosts": entries, "default_host": "a"})))
    monkeypatch.setenv("ISLANDFLOW_INVENTORY", str(file))
    monkeypatch.setenv("COLUMNS", "200")
    made = {name: OneOfSeveral(name, diary, docker_serves) for name in NAMES}
    monkeypatch.setattr(session, "select_host", lambda context, site, name: made[site.default_host])
    return made


def table(ended: Run) -> dict[str, str]:
    """The last table's rows by host: exit code and how it ended."""
    _, _, rows = ended.out.rpartition("how it ended")
    cells = [re.split(r"\s{2,}", line.strip()) for line in rows.splitlines()[1:] if line.strip()]
    return {row[1]: " ".join(row[2:]).strip() for row in cells}


# ── Looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_hosts_are_looked_at_at_the_same_time_and_each_line_names_its_host(hosts: dict[str, OneOfSeveral]) -> None:
    for host in hosts.values():
        host.meet = len(hosts)
    ended = inv("status", "--all")
    assert ended.code == 0, ended.said
    for name in NAMES:
        assert re.search(rf"^{name:<4} \| .*docker", ended.out, re.MULTILINE)
    before, _, _ = ended.out.partition("hosts\n")
    assert all(re.match(r"(a   |b   |long) \|", line) for line in before.splitlines())
    assert {name: text.split(" ")[:2] for name, text in table(ended).items()} == {name: ["0", "done"] for name in NAMES}


def test_an_unreachable_host_touches_no_other_and_decides_the_exit_code(hosts: dict[str, OneOfSeveral]) -> None:
    hosts["a"].unreachable = True
    ended = islandflow("status", "-H", "a,b")
    assert ended.code == 6
    assert re.search(r"^a \| Error: vps.example:22 did not answer", ended.err, re.MULTILINE)
    assert re.search(r"^b \| ", ended.out, re.MULTILINE)
    rows = table(ended)
    assert set(rows) == {"a", "b"} and rows["b"].startswith("0 done")
    assert rows["a"].startswith("6 vps.example:22 did not answer")


def test_each_line_of_json_names_its_host_and_the_last_ones_say_how_each_ended(hosts: dict[str, OneOfSeveral]) -> None:
    hosts["b"].unreachable = True
    ended = inv("status", "--all", "--json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 6
    assert {line["inventory_hostname"] for line in lines} == set(NAMES)
    assert {line["inventory_hostname"] for line in lines if line["kind"] == "status"} == {"a", "long"}
    assert [line["inventory_hostname"] for line in lines if line["kind"] == "error"] == ["b"]
    assert not [problem for line in lines for problem in json_lines.problems(line)]
    last = [(line["kind"], line["inventory_hostname"], line["exit_code"]) for line in lines[-3:]]
    assert last == [("host", "a", 0), ("host", "b", 6), ("host", "long", 0)]


def test_fabric_leaves_the_hosts_behind_a_tasks_name_to_the_task(hosts: dict[str, OneOfSeveral]) -> None:
    ended = fab("status", "-H", "a,b")
    assert ended.code == 0, ended.said
    assert set(table(ended)) == {"a", "b"}


def test_one_host_is_worked_on_as_ever(hosts: dict[str, OneOfSeveral]) -> None:
    ended = inv("status", "-H", "b", "--json")
    assert ended.code == 0 and "inventory_hostname" not in ended.out and " | " not in ended.out


def test_the_public_checks_are_of_the_host_that_is_named(hosts: dict[str, OneOfSeveral]) -> None:
    assert session.begin(object(), "b").site.origin == "b.example"
    assert session.begin(object()).site.origin == "a.example"
    assert (session.site_of("b").origin, session.site_of("").origin) == ("b.example", "a.example")


# ── Plans ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_next_host_begins_when_the_one_before_has_ended(hosts: dict[str, OneOfSeveral], diary: Diary) -> None:
    ended = inv("docker.stop", "--all")
    assert ended.code == 0, ended.said
    assert [line.split()[:2] for line in diary.lines] == [[what, name] for name in NAMES for what in ("survey", "end")]


def test_parallel_has_so_many_at_work_at_a_time(hosts: dict[str, OneOfSeveral], diary: Diary) -> None:
    hosts["a"].meet = hosts["b"].meet = 2
    ended = inv("docker.stop", "--all", "--parallel", "2")
    assert ended.code == 0, ended.said
    assert {line.split()[1] for line in diary.lines[:2]} == {"a", "b"}
    assert [line.split()[1] for line in diary.lines if "survey" in line][2] == "long"
    assert next(n for n, line in enumerate(diary.lines) if line.startswith("end")) < diary.lines.index("survey long")


def test_after_a_failure_no_other_host_begins(hosts: dict[str, OneOfSeveral], diary: Diary) -> None:
    hosts["b"].events["ship"] = [
        begun(),
        finished("reverted", why="it would not stop", health={"docker/api": "healthy"}),
    ]
    ended = islandflow("docker", "stop", "--all")
    assert ended.code == 1
    rows = table(ended)
    assert rows["a"].startswith("0 done") and "was reverted" in rows["b"]
    assert rows["long"] == "not begun: b had failed before"
    assert "survey long" not in diary.lines


def test_no_fail_fast_has_the_others_begin(hosts: dict[str, OneOfSeveral], diary: Diary) -> None:
    hosts["a"].unreachable = True
    ended = islandflow("docker", "stop", "--all", "--no-fail-fast")
    assert ended.code == 6
    assert [line.split()[1] for line in diary.lines if line.startswith("end")] == ["b", "long"]


def test_each_host_leaves_its_own_record(hosts: dict[str, OneOfSeveral], records: Path) -> None:
    assert inv("docker.stop", "-H", "a,b").code == 0
    assert {path.stem[-1] for path in records.rglob("*.html")} == {"a", "b"}


# ── Ctrl-C, questions, and processes that end otherwise ─────────────────────────────────────────────────────────────


def act_on(
    choice: Choice, act: Callable[[str], tuple[int, str]], capsys: pytest.CaptureFixture[str], *, json: bool = False
) -> Run:
    code = run.run(choice, act, json=json)
    out, err = capsys.readouterr()
    return Run(code, out, err)


def test_ctrl_c_reaches_the_host_at_work_once_and_keeps_the_others_from_beginning(
    hosts: dict[str, OneOfSeveral], monkeypatch: pytest.MonkeyPatch, diary: Diary
) -> None:
    parent = os.getpid()

    def press(self: OneOfSeveral, *_: Any) -> Facts:
        diary.note("survey")
        try:
            os.kill(parent, signal.SIGINT)
            time.sleep(SOON)
        except KeyboardInterrupt:
            diary.note("interrupted")
            raise
        raise AssertionError("nobody interrupted it")

    monkeypatch.setattr(OneOfSeveral, "survey", press)
    ended = inv("docker.stop", "--all")
    assert ended.code == 130
    assert diary.lines == ["survey", "interrupted"]
    rows = table(ended)
    assert rows["a"].startswith("130 interrupted")
    assert rows["b"] == rows["long"] == "not begun: interrupted"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Terminal(io.StringIO):
    """Somebody at a terminal, who types what stands in it."""

    def isatty(self) -> bool:
        return True


def at_terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> Terminal:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def test_questions_are_put_one_at_a_time_by_the_host_that_has_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = at_terminal(monkeypatch, "first\nsecond\n")
    ended = act_on(Choice(("a", "b"), 2, True), lambda host: (0, f"{host}: {input('Which? ')}"), capsys)
    assert sorted(screen.getvalue().split("Which? ")) == ["", "a | ", "b | "]
    answers = [table(ended)[name].split(" ")[2] for name in ("a", "b")]
    assert sorted(answers) == ["first", "second"]


def somebody_is_there(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """Somebody at the terminal of the whole command, whose output the test reads."""
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    monkeypatch.setattr(apply, "has_terminal", lambda: True)


@pytest.mark.parametrize("answer", ["y", ""])
def test_whether_a_plan_may_begin_is_asked_once_for_all_hosts_after_each_has_been_looked_at(
    hosts: dict[str, OneOfSeveral], monkeypatch: pytest.MonkeyPatch, diary: Diary, answer: str
) -> None:
    somebody_is_there(monkeypatch, f"{answer}\n")
    for host in hosts.values():
        host.meet = len(hosts)
    ended = inv("rollback", "--full", "--all") if not answer else inv("cutover", "--all", "--no-confirm")
    said = ended.err
    assert said.count("[y/N]") == 1 and "Begin on a, b, long, one after the other?" in said
    if answer:
        for name in NAMES:
            assert re.search(rf"^{name:<4} \| cutover on {name}: \d+ steps to do", ended.out, re.MULTILINE)
        assert [line for line in diary.lines if line.startswith("end")] == [f"end {name} []" for name in NAMES]
        assert {name: text[:6] for name, text in table(ended).items()} == dict.fromkeys(NAMES, "0 done")
    else:
        assert ended.code == 130 and "it has not begun on any host, since nobody said yes" in said
        assert diary.lines.count("survey a") == 1 and not [line for line in diary.lines if line.startswith("end")]


def test_where_one_host_could_not_begin_nobody_is_asked(
    hosts: dict[str, OneOfSeveral], monkeypatch: pytest.MonkeyPatch, diary: Diary
) -> None:
    somebody_is_there(monkeypatch, "y\n")
    hosts["b"].unreachable = True
    ended = inv("cutover", "--all")
    assert ended.code == 6 and "[y/N]" not in ended.err
    assert table(ended)["a"].startswith("0 only looked at")
    assert table(ended)["b"].startswith("6") and not [line for line in diary.lines if line.startswith("end")]


def test_where_there_is_no_terminal_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("an answer\n"))

    def act(host: str) -> tuple[int, str]:
        return (1 if sys.stdin.isatty() else 0), f"read: {sys.stdin.readline()!r}"

    assert table(act_on(Choice(("a",), 1, True), act, capsys))["a"].startswith("0 read: ''")


def test_ctrl_c_at_a_question_is_its_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Pressed(Terminal):
        def readline(self, *_: Any) -> str:  # type: ignore[override]
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(SOON)
            return "too late\n"

    at_terminal(monkeypatch, "")
    monkeypatch.setattr(sys, "stdin", Pressed())

    def act(host: str) -> tuple[int, str]:
        with contextlib.suppress(EOFError):
            input("Revert it? ")
            return 1, "an answer came"
        return 0, "no answer"

    ended = act_on(Choice(("a", "b"), 1, True), act, capsys)
    assert ended.code == 0 and all("no answer" in row for row in table(ended).values())


def test_a_process_that_is_killed_says_what_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    def act(host: str) -> tuple[int, str]:
        print("as far as here")
        sys.stdout.flush()
        if host == "a":
            os.kill(os.getpid(), signal.SIGKILL)
        return 0, ""

    ended = act_on(Choice(("a", "b"), 1, False), act, capsys)
    assert ended.code == 130
    assert "a | as far as here" in ended.out
    assert "the process for a was ended by SIGKILL" in ended.err and "inv attach --host a" in ended.err
    assert table(ended)["b"].startswith("0 done")


def test_much_output_and_a_last_line_without_an_end_arrive_whole(capsys: pytest.CaptureFixture[str]) -> None:
    def act(host: str) -> tuple[int, str]:
        for number in range(20_000):
            print(f"{number} ✓")
        print("the end", end="")
        return 0, ""

    ended = act_on(Choice(("a", "b"), 2, False), act, capsys)
    for name in ("a", "b"):
        own = [line for line in ended.out.splitlines() if line.startswith(f"{name} |")]
        assert own == [*(f"{name} | {number} ✓" for number in range(20_000)), f"{name} | the end"]


def test_what_a_process_leaves_behind_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    def act(host: str) -> tuple[int, str]:
        if os.fork() == 0:  # it has standard output open, as an ssh that stays for others has
            os.closerange(3, 100)
            time.sleep(SOON)
            os._exit(0)
        return 0, ""

    began = time.monotonic()
    assert act_on(Choice(("a",), 1, False), act, capsys).code == 0
    assert time.monotonic() - began < SOON


# ── Secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_secret_is_typed_once_for_all_hosts(hosts: dict[str, OneOfSeveral], monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[str] = []
    monkeypatch.setattr(npm_token, "_typed", {})
    monkeypatch.setattr(sys, "stdin", Terminal("me@example.test\n"))
    monkeypatch.setattr(getpass, "getpass", lambda question: typed.append(question) or "open sesame")
    for variable in (npm_token.IDENTITY_VARIABLE, npm_token.SECRET_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    npm_token.ask_once("api", {}, prompt=lambda question: typed.append(question) or "me@example.test")
    host = hosts["a"]
    host.logins = [{"token": "t1"}, {"token": "t2"}]
    for _ in range(2):
        npm_token.npm_token(host, EDGE, {}, prompt=lambda question: pytest.fail(f"asked again: {question}"))
    assert [question.split(" ")[1] for question in typed] == ["identity", "secret:"]
    assert {call[1].secret for call in host.calls if call[0] == "log_in"} == {"open sesame"}


@pytest.mark.parametrize(("words", "asked"), [("--way api", True), ("--way files", False), ("--way api --dry", False)])
def test_it_is_asked_for_before_the_first_host_and_only_where_it_is_needed(
    words: str, asked: bool, hosts: dict[str, OneOfSeveral], monkeypatch: pytest.MonkeyPatch, diary: Diary
) -> None:
    monkeypatch.setattr(npm_token, "ask_once", lambda way, environ: way == "api" and diary.note(f"asked for {way}"))
    islandflow("npm", "switch", "--to", "docker", "--all", *words.split())
    assert ("asked for api" in diary.lines) is asked
    assert diary.lines[0] == "asked for api" or not asked
    assert diary.lines.count("asked for api") == asked


# ── The exit code ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 3], 3),
        ([3, 1], 1),
        ([1, 6, 4], 6),
        ([6, 5, 130], 5),
        ([70, 5], 5),
        ([70, 6], 70),
        ([130, 1], 130),
        ([0, 7], 7),  # a command's own
        ([7, 42, 3], 42),
        ([1, 42], 42),
        ([42, 6], 6),
    ],
)
def test_the_exit_code_is_the_worst_hosts(codes: list[int], expected: int) -> None:
    assert run.worst(codes) == expected
