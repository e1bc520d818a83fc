"""Events become lines for people, or JSON and nothing else; and the last one becomes an exit code."""

from __future__ import annotations

import io
import json
import re
from typing import Any
from unittest import mock

import pytest
import rich.console

from fabfile import console
from fabfile.console import Console
from fabfile.errors import CutoverError, Failed, LockHeld, ManualInterventionRequired
from fabfile.runner.wire import formats
from fabfile.runner.wire.events import Event
from tests.support import json_lines
from tests.support.events import PLAN, begun, event, finished, tally
from tests.support.terminal import Terminal

EVERY_KIND = [
    begun(to="native"),
    event("noop", "infra: files", 0, why="6 files are up to date"),
    event("start", "docker: stop", 0, what="stop web, api", before={}),
    event("done", "docker: stop", 2100, verified=[]),
    event("start", "app: start [api]", 0, what="start the units", before={}),
    event("outage", watch="flow.deltaisland.io", lasted_ms=1230, errors={"connection refused": 3}),
    event("failed", "app: start [api]", 30000, error="api is not [healthy]", said="line 1\nline 2"),
    event("undo", "app: start [api]", 0),
    event("undone", "app: start [api]", 400),
    event("undo", "docker: stop", 0),
    event("stuck", "docker: stop", 5000, error="Docker does not answer"),
    event("waiting", seconds=120),
    finished("stuck", why="api is not healthy", stuck_at="docker: stop", error="Docker does not answer"),
]


def told(events: list[Event], *, terminal: bool = False) -> list[str]:
    """The lines that a console makes of events."""
    out = Terminal() if terminal else io.StringIO()
    shown = Console(err=rich.console.Console(file=out, width=200, emoji=False, highlight=False))
    with shown.following():
        for each in events:
            shown.event(each)
    return out.getvalue().splitlines()


def test_events_become_lines_in_order() -> None:
    assert told(EVERY_KIND) == [
        f"▸ cutover {PLAN} by ana@laptop",
        "· infra: files 6 files are up to date",
        "▸ docker: stop stop web, api",
        "✓ docker: stop 2.1 s",
        "▸ app: start [api] start the units",
        "! flow.deltaisland.io was away for 1.23 s (3 × connection refused)",
        "✗ app: start [api]: api is not [healthy] 30.0 s",
        "    line 1",
        "line 2",
        "↶ undoing: app: start [api]",
        "✓ undone: app: start [api] 0.4 s",
        "↶ undoing: docker: stop",
        "✗ docker: stop: Docker does not answer 5.0 s",
        "… waiting 120 s for the public checks' confirmation",
    ]


def test_a_terminal_keeps_what_is_done_above_the_lines_that_are_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    lines = told(EVERY_KIND, terminal=True)
    assert any("docker: stop" in line and "2.1 s" in line for line in lines) and "\x1b[?25l" in lines[0]
    assert any("undone: app: start" in line for line in lines) and not any("stop web, api" in line for line in lines)


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"TTY_INTERACTIVE": "0"}])
def test_a_terminal_that_can_t_draw_anew_gets_lines_as_a_file_does(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_COLOR", "1")
    assert [re.sub(r"\x1b\[\d*m", "", line) for line in told(EVERY_KIND, terminal=True)] == told(EVERY_KIND)


def test_figures_of_the_moment_are_no_lines() -> None:
    figures = {"requests": 9, "failures": 0, "waiting": 0, "longest_wait_ms": 1}
    traffic = event("traffic", impact={"flow.example": figures})
    held = event("traffic", impact={"flow.example": figures}, held_ms=2000, hold_left_ms=43000)
    assert told([begun(), traffic, held]) == told([begun()])
    assert [json_lines.problems(each.line()) for each in (traffic, held)] == [[], []]


def test_text_for_people_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither Rich's markup nor its emoji codes mean anything in what a VPS says."""
    text = "[red]nginx: [emerg] :warning: 127.0.0.1:100: in /etc/nginx/nginx.conf:3[/red]"
    Console().say(text)
    Console().warn(text)
    Console().event(event("failed", "edge: point", 0, error=text))
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [text]
    assert printed.err.splitlines() == [f"warning: {text}", f"✗ edge: point: {text} 0.0 s"]


def test_long_lines_are_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    Console().say("x" * 500)
    assert capsys.readouterr().out == "x" * 500 + "\n"


def test_a_table_shows_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table("servers", ("", "what", "evidence"), [("✓", "nats", "healthy"), ("✗", "redis [0]", "down")])
    out = capsys.readouterr().out
    assert all(text in out for text in ("servers", "what", "evidence", "nats", "healthy", "✗", "redis [0]", "down"))


def test_json_prints_json_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Console(json=True)
    with shown.following():
        shown.say("for people")
        shown.progress("for people")
        shown.table("title", ("a",), [("b",)])
        shown.warn("careful")
        shown.data("check", what="nats", ok=True, text="healthy")
        for each in EVERY_KIND:
            shown.event(each)
    printed = capsys.readouterr()
    assert [json.loads(line) for line in printed.out.splitlines()] == [
        {"version": formats.JOURNAL, "kind": "warning", "text": "careful"},
        {"version": formats.JOURNAL, "kind": "check", "what": "nats", "ok": True, "text": "healthy"},
        *(each.line() for each in EVERY_KIND),
    ]
    assert printed.err == "warning: careful\n", "people read that, whatever reads the rest"


def test_without_json_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    Console().data("check", what="nats", ok=True)
    assert capsys.readouterr().out == ""


# ── How it ended ────────────────────────────────────────────────────────────────────────────────────────────────────

HEALTH = {"docker/api": "healthy", "native/api": "islandflow-api.service is inactive"}


@pytest.mark.parametrize("outcome", ["done", "nothing"])
def test_a_good_end_is_no_error(outcome: str) -> None:
    assert console.ending(finished(outcome)) is None


@pytest.mark.parametrize(
    ("last", "kind", "code"),
    [
        (finished("reverted", why="nobody confirmed", health=HEALTH), Failed, 1),
        (finished("locked", holder={"who": "bo@desk", "what": "rollback", "since": "noon"}), LockHeld, 4),
        (finished("locked", holder={}), LockHeld, 4),
        (
            finished("stuck", why="api is down", stuck_at="docker: stop", error="no", health=HEALTH),
            ManualInterventionRequired,
            5,
        ),
    ],
)
def test_a_bad_end_has_its_exit_code(last: Event, kind: type[CutoverError], code: int) -> None:
    error = console.ending(last)
    assert type(error) is kind and error is not None and error.exit_code == code
    assert error.message and error.state and error.next_step


def test_a_reverted_plan_says_why_and_what_is_up() -> None:
    error = console.ending(finished("reverted", why="nobody confirmed within 120 s", health=HEALTH))
    assert error is not None
    assert "nobody confirmed within 120 s" in error.message
    assert "as before" in error.state and "docker/api" in error.state and "native/api" not in error.state


@pytest.mark.parametrize(
    ("evidence", "state"),
    [
        ({"health": HEALTH}, "Everything is as before. Up: docker/api."),
        ({"health": {"native/api": "unit is failed/failed"}}, "Everything is as before. Up: nothing."),
        ({"health": {}}, "Every step of it is undone. What runs is not known: it was not looked at"),
        ({"health": {"unknown": "StepFailed: no bus"}}, "undone. What runs is not known: StepFailed: no bus"),
        (
            {"health": HEALTH, "lost": ["native/api"]},
            "not everything runs as before.\nUp: docker/api.\n"
            "Healthy before, and not now: native/api (islandflow-api.service is inactive)",
        ),
    ],
)
def test_of_a_plan_that_was_taken_back_no_more_is_claimed_than_was_seen(evidence: dict[str, Any], state: str) -> None:
    error = console.ending(finished("reverted", why="no", **evidence))
    assert error is not None and error.state.endswith(state)


@pytest.mark.parametrize(
    ("left", "where"),
    [(["/srv/.redis.left"], "what the other servers left is in /srv/.redis.left"), ([], "in your backups")],
)
def test_data_that_did_not_come_back_is_the_first_thing_to_care_for(left: list[str], where: str) -> None:
    missing = {"missing": ["redis: db0: 5 before, 4 now"], "left_by_the_others": left}
    error = console.ending(finished("reverted", why="no", health=HEALTH, **missing))
    assert error is not None and "but data is missing: redis: db0: 5 before, 4 now." in error.state
    assert "before you run the command again" in error.next_step and where in error.next_step


@pytest.mark.parametrize(
    ("health", "why"), [({}, "it was not looked at"), ({"unknown": "StepFailed: no bus"}, "no bus")]
)
def test_a_stuck_plan_does_not_call_down_what_was_not_seen(health: dict[str, str], why: str) -> None:
    error = console.ending(finished("stuck", why="api is down", stuck_at="docker: stop", error="no", health=health))
    assert error is not None and error.state.startswith("what runs is not known: ") and why in error.state


def test_a_stuck_plan_says_what_is_up_and_what_is_down_and_how_to_go_on() -> None:
    error = console.ending(
        finished("stuck", why="api is down", stuck_at="docker: stop", error="Docker does not answer", health=HEALTH)
    )
    assert isinstance(error, ManualInterventionRequired)
    assert all(text in error.message for text in ("api is down", "docker: stop", "Docker does not answer"))
    assert error.up == ("docker/api",)
    assert error.down == ("native/api (islandflow-api.service is inactive)",)
    assert f"inv revert --plan {PLAN}" in error.next_step


def test_a_lock_names_its_holder() -> None:
    error = console.ending(finished("locked", holder={"who": "bo@desk", "what": "rollback", "since": "noon"}))
    assert error is not None and error.message == "bo@desk holds the lock: rollback, since noon"


def test_what_the_users_felt_is_a_row_for_each_name() -> None:
    impact = {"flow.deltaisland.io": tally(), "api.flow.deltaisland.io": tally(failures=2, outage_ms=1230)}
    rows = console.impact(finished("done", impact=impact))
    assert rows == [
        ("flow.deltaisland.io", "400", "0", "2.34 s", "0.00 s"),
        ("api.flow.deltaisland.io", "400", "2", "2.34 s", "1.23 s"),
    ]
    assert len(console.IMPACT_COLUMNS) == len(rows[0])


def test_a_plan_without_watches_was_felt_by_nobody() -> None:
    assert console.impact(finished("done")) == []


def test_a_ctrl_c_as_soon_as_a_question_can_be_read_ends_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Console()
    shown = screen._err.print

    def interrupted(*words: object, **options: Any) -> None:
        shown(*words, **options)
        if words:
            raise KeyboardInterrupt

    with mock.patch.object(screen._err, "print", interrupted), pytest.raises(KeyboardInterrupt):
        screen.answer("Begin? [y/N]")
    assert capsys.readouterr().err == "Begin? [y/N] \n"
