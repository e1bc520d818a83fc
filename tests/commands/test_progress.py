"""What a terminal shows while a plan runs, line by line."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest
import rich.console

from fabfile.progress import Progress
from fabfile.runner.wire.events import Event, Kind
from tests.support import events
from tests.support.terminal import Terminal

EPOCH = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
IMPACT = {"flow.example": {"requests": 414, "failures": 2, "waiting": 1, "longest_wait_ms": 2130}}


class Clock:
    """This machine's clock, which the test moves; the VPS's is another one."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Story:
    """A plan whose events come at the seconds that the test says."""

    def __init__(self, **screen: Any) -> None:
        self.clock, self.file = Clock(), Terminal()
        self.screen = rich.console.Console(file=self.file, **{"width": 200, "height": 40, **screen})
        self.progress = Progress(self.screen, self.clock)

    def at(self, seconds: float, kind: Kind, step: str | None = None, /, *, late: float = 0.0, **evidence: Any) -> None:
        """Let an event of that second come, so many seconds late."""
        made: Event = events.event(kind, step, 0, **evidence)
        self.clock.now = 1000.0 + seconds + late
        self.progress.note(dataclasses.replace(made, time=(EPOCH + datetime.timedelta(seconds=seconds)).isoformat()))

    def shows(self, seconds: float) -> list[str]:
        """What is shown at a second."""
        self.clock.now = 1000.0 + seconds
        return list(self.progress.lines())

    def begin(self) -> None:
        self.at(0, "start", name="cutover", who="ana", steps=31)
        self.at(1, "noop", "files", why="there")
        self.at(2, "start", "park", what="lead the edge to the lot", hold="begins")
        self.at(3, "done", "park", hold="begins")


def test_the_step_at_hand_is_shown_with_its_time_and_how_many_are_done() -> None:
    story = Story()
    assert story.shows(0) == ["the plan begins  0 steps", "…"]
    story.begin()
    assert story.shows(3.5) == ["cutover  2 of 31 steps  3.5 s", "…"]
    story.at(4, "start", "infra: start", what="start nats")
    assert story.shows(75) == ["cutover  2 of 31 steps  1:15", "▸ infra: start  1:11  start nats"]


def test_users_and_the_hold_are_shown_as_they_are_at_the_moment() -> None:
    story = Story()
    story.begin()
    story.at(5, "traffic", impact=IMPACT, held_ms=2000, hold_left_ms=43000)
    assert story.shows(6)[2:] == [
        "requests have waited for 3.0 s; the hold is given up in 42 s",
        "412 served, 1 waiting, 2 failed, longest wait 2.1 s  flow.example",
    ]
    story.at(7, "traffic", impact=IMPACT)
    assert story.shows(7)[2:] == ["412 served, 1 waiting, 2 failed, longest wait 2.1 s  flow.example"]


def test_the_last_line_of_the_command_at_hand_is_shown_below_its_step_and_below_no_other() -> None:
    story = Story(width=40)
    story.begin()
    story.at(4, "start", "app: web built", what="build")
    story.at(5, "traffic", impact={}, line="#7 RUN bun run build" + " and more" * 9)
    assert story.shows(6)[2:] == ["  #7 RUN bun run build" + " and more" * 9]
    assert max(map(len, str(story.progress.text()).splitlines())) == 39
    story.at(7, "done", "app: web built")
    assert story.shows(7)[1:] == ["…"]
    story.at(8, "start", "app: links", what="links")
    assert len(story.shows(8)) == 2


def test_a_plan_that_waits_shows_how_long_it_still_does() -> None:
    story = Story()
    story.begin()
    story.at(10, "waiting", seconds=120)
    assert story.shows(40)[1] == "… public checks; without their confirmation it reverts in 1:30"
    story.at(41, "waiting", seconds=120, decided=True)
    assert story.shows(41)[1] == "…"


def test_undoing_shows_how_much_is_left_to_undo() -> None:
    story = Story()
    story.begin()
    story.at(4, "start", "infra: start", what="start nats")
    story.at(5, "failed", "infra: start", error="no")
    story.at(6, "undo", "infra: start")
    assert story.shows(7)[1] == "↶ undoing: infra: start  1.0 s  2 to undo"
    story.at(8, "undone", "infra: start")
    story.at(9, "undo", "park")
    assert story.shows(9)[1] == "↶ undoing: park  0.0 s  1 to undo"


def test_times_are_the_vps_s_whenever_events_come() -> None:
    """As where a plan is followed from its first event while it has run for long."""
    story = Story()
    story.at(0, "start", name="cutover", who="ana", steps=31, late=100)
    story.at(60, "start", "infra: start", what="start nats", late=40)
    story.at(100, "traffic", impact={}, late=0.1)
    assert story.shows(101) == ["cutover  0 of 31 steps  1:40", "▸ infra: start  41 s  start nats"]


def test_a_silent_vps_is_said() -> None:
    story = Story()
    story.begin()
    assert len(story.shows(60)) == 2, "without figures nobody knows how often something should come"
    story.at(61, "traffic", impact={})
    assert len(story.shows(65)) == 2
    assert story.shows(73)[2] == "nothing has come from the VPS for 12 s; the plan goes on there"
    story.at(74, "traffic", impact=IMPACT)
    assert len(story.shows(75)) == 3
    assert "flow.example" not in " ".join(story.shows(90)), "old figures are none of the moment"
    story.at(91, "waiting", seconds=120)
    assert len(story.shows(140)) == 2, "while the public checks run nobody reads what comes"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 3), (10, 4), (24, 10), (80, 24)])
def test_nothing_is_wider_or_higher_than_the_terminal(width: int, height: int) -> None:
    story = Story(width=width, height=height)
    story.begin()
    story.at(4, "start", "infra: start\x1b[2J\n", what="start 日本語 nats, redis and clickhouse" * 4)
    story.at(
        5, "traffic", impact={f"{n}.example": IMPACT["flow.example"] for n in range(30)}, held_ms=1, hold_left_ms=9
    )
    drawn = story.progress.text()
    lines = drawn.split("\n")
    assert len(lines) <= max(2, height - 2)
    assert all(line.cell_len <= max(1, width - 1) for line in lines) and "\x1b" not in drawn.plain


def test_what_the_encoding_lacks_has_a_stand_in() -> None:
    story = Story()
    story.file.encoding = "ascii"
    story.begin()
    story.at(4, "start", "infra: start", what="start nats")
    assert story.progress.text().plain.splitlines()[1].startswith("> infra: start")
    assert story.progress.text().plain.isascii()


def test_it_is_gone_in_the_end_and_so_in_spite_of_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    story = Story()
    with pytest.raises(KeyboardInterrupt), story.progress:
        story.begin()
        story.screen.print("a line that stays")
        raise KeyboardInterrupt
    text = story.file.getvalue()
    assert "a line that stays" in text and text.rstrip("\r").endswith("\x1b[2K") and "\x1b[?25h" in text
