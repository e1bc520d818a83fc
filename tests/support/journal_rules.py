"""What every journal must obey, whatever happened: a reader of journals that believes nothing.

`told` reads the events of one plan, runs of it that were cut off and reverting included, and raises
AssertionError at the first that breaks a rule. It knows nothing of the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]

ENDED = ("done", "nothing", "reverted")
_KEYS = {"version", "time", "plan", "step", "kind", "ms", "evidence"}


@dataclass
class Story:
    """Where a plan stands by its journal."""

    begun: list[str] = field(default_factory=list)  # and not undone, in the order of their start
    done: list[str] = field(default_factory=list)
    noop: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    outcome: str = ""  # empty while it runs, or when it was cut off
    stuck_at: str = ""
    runs: int = 0


def told(events: Sequence[Event], steps: Sequence[str] = ()) -> Story:
    """The story that the events tell; `steps` are the plan's, in order, where they are known."""
    story = Story()
    run = _Run(story, reverting=False)
    for number, event in enumerate(events):
        assert set(event) == _KEYS, f"event {number} has the keys {sorted(event)}"
        assert event["ms"] >= 0
        assert event["plan"] == events[0]["plan"]
        if event["kind"] == "start" and event["step"] is None:
            assert story.outcome not in ENDED, f"event {number}: started again after {story.outcome}"
            run = _Run(story, reverting=bool(event["evidence"].get("reverting")))
            assert run.reverting == bool(story.runs), f"event {number}: only a revert follows a run"
            story.runs, story.outcome, story.stuck_at = story.runs + 1, "", ""
            continue
        assert story.runs, f"event {number}: {event['kind']} before the plan's start"
        assert not story.outcome, f"event {number}: {event['kind']} after finished"
        try:
            run.take(event)
        except AssertionError as error:
            raise AssertionError(f"event {number} ({event['kind']} {event['step']}): {error}") from None
    if steps:
        order = [name for name in steps if name in story.begun]
        assert order == story.begun, f"begun out of the plan's order: {story.begun}"
    return story


class _Run:
    """One run of a plan, forward and then perhaps back."""

    def __init__(self, story: Story, *, reverting: bool) -> None:
        self.story = story
        self.reverting = reverting
        self.back = reverting
        self.failed = False
        self.open = ""  # the step between start and done
        self.undoing = ""  # the step between undo and undone

    def take(self, event: Event) -> None:
        """Let one event change the story, if the rules allow it."""
        rule = getattr(self, f"_{event['kind']}", None)
        assert rule, "no such event"
        assert (event["step"] is None) == (event["kind"] in ("waiting", "outage", "finished")), "step given or not"
        rule(event["step"], event["evidence"])

    def _start(self, step: str, evidence: Event) -> None:
        assert not self.back, "a step begun on the way back"
        assert not self.open, f"{self.open} is not done yet"
        assert step not in self.story.begun + self.story.noop, "begun twice"
        assert isinstance(evidence["before"], dict)
        assert evidence["what"], "nobody says what it does"
        self.open = step
        self.story.begun.append(step)

    def _done(self, step: str, evidence: Event) -> None:
        assert not self.back
        assert step == self.open, f"{self.open or 'none'} is the one that was begun"
        assert isinstance(evidence["verified"], list)
        self.open = ""
        self.story.done.append(step)

    def _noop(self, step: str, evidence: Event) -> None:
        assert not self.back
        assert not self.open
        assert evidence["why"], "nobody says why"
        self.story.noop.append(step)

    def _failed(self, step: str, evidence: Event) -> None:
        assert not self.back
        assert self.open in ("", step), f"{self.open} is the one that was begun"
        assert evidence["error"]
        self.open, self.back, self.failed = "", True, True

    def _waiting(self, step: None, evidence: Event) -> None:
        assert not self.back
        assert not self.open
        assert self.story.done, "waiting though nothing was done"
        assert evidence["seconds"] > 0

    def _outage(self, step: None, evidence: Event) -> None:
        assert evidence["lasted_ms"] >= 0
        assert evidence["errors"]

    def _undo(self, step: str, evidence: Event) -> None:
        self.open, self.back = "", True
        assert not self.undoing, f"{self.undoing} is not undone yet"
        assert self.story.begun, "nothing is left to undo"
        assert step == self.story.begun[-1], f"{self.story.begun[-1]} comes first"
        self.undoing = step

    def _undone(self, step: str, evidence: Event) -> None:
        self.open, self.back = "", True
        assert self.story.begun, "nothing is left to undo"
        assert step == self.story.begun[-1], f"{self.story.begun[-1]} comes first"
        assert self.undoing == step or evidence.get("why"), "neither an undo before it nor a reason for none"
        self.undoing = ""
        self.story.begun.remove(step)
        self.story.undone.append(step)

    def _stuck(self, step: str, evidence: Event) -> None:
        assert step == self.undoing
        assert evidence["error"]
        self.story.stuck_at = step

    def _finished(self, step: None, evidence: Event) -> None:
        story, outcome = self.story, evidence["outcome"]
        assert isinstance(evidence["health"], dict)
        if outcome in ("done", "nothing"):
            assert not self.back, "reverted, and yet not"
            assert not self.open
            assert story.begun == story.done
            assert bool(story.done) == (outcome == "done")
        elif outcome == "reverted":
            assert not story.begun, f"not undone: {story.begun}"
            assert not story.stuck_at
            assert evidence["why"]
        else:
            assert outcome == "stuck", f"no such outcome: {outcome}"
            assert story.stuck_at == evidence["stuck_at"] == story.begun[-1]
            assert evidence["error"]
            assert evidence["why"]
        story.outcome = outcome
