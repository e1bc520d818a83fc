"""Follows a plan that runs on the VPS: shows its events, sends the operator's decision, and says how it ended."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field

from fabfile import bug, console, public
from fabfile.commands import record
from fabfile.commands.extensions import workflow
from fabfile.commands.public import intended
from fabfile.commands.session import Session
from fabfile.errors import Interrupted, Unreachable, UsageError
from fabfile.plans import decisive, edge
from fabfile.public import Check
from fabfile.remote.host import Host
from fabfile.runner.system.deadline import Deadline
from fabfile.runner.wire.events import Event
from fabfile.terms import runtime_named

_RETRY_SECONDS = 1.0  # between two tries to send the decision
# How long before the runner's deadline the decision is sent at the latest; of a short deadline it is the half.
_DECISION_MARGIN_SECONDS = 20.0


@dataclass
class _History:
    """All events of a plan so far, and the checks that were made before the decision on it."""

    events: list[Event] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    reverting: bool = False  # the operator has said so here: no check of ours may say anything else
    decided: bool = False  # by somebody else, or earlier: the checks of that time are not known here

    @property
    def settings(self) -> dict[str, str]:
        settings: dict[str, str] = self.events[0].evidence.get("settings", {})
        return settings


def attach(session: Session, plan_id: str) -> None:
    """Follow a plan from its first event, the newest if none is named. Raises CutoverError as it ends."""
    target = plan_id or _newest(session.host)
    follow(session, target, session.host.follow(target))


def follow(
    session: Session,
    plan_id: str,
    events: Iterator[Event],
    earlier: Iterable[Event] = (),
    listen: Callable[[Event], None] = lambda event: None,
) -> None:
    """Show events to their end; where the runner waits for it, check the public side and confirm or revert.

    `earlier` are the plan's events before those, for its record. `listen` gets each event, too. Ctrl-C asks whether to
    leave the plan running or to revert it. Raises CutoverError as the plan ended.
    """
    history = _History(list(earlier))
    try:
        _follow_events(session, plan_id, events, history, listen)
    except KeyboardInterrupt:
        if not _operator_reverts(plan_id):
            raise _interrupted(plan_id) from None
        session.host.decide(plan_id, "revert")
        history = _History(reverting=True)  # it is followed from its first event again
        _follow_events(session, plan_id, session.host.follow(plan_id), history, listen)
    _end(session, plan_id, history)


def revert_running(session: Session, plan_id: str) -> None:
    """Have a plan that runs reverted at once, whoever began it, and follow it to its end.

    Raises CutoverError as it ended.
    """
    session.host.decide(plan_id, "revert")
    history = _History(reverting=True)
    _follow_events(session, plan_id, session.host.follow(plan_id), history, lambda event: None)
    _end(session, plan_id, history)


def _follow_events(
    session: Session, plan_id: str, events: Iterator[Event], history: _History, listen: Callable[[Event], None]
) -> None:
    bug.plan_begins(plan_id)
    with session.console.following(), workflow.Groups(session.console, os.environ) as groups:
        for event in events:
            if not event.is_journaled:
                session.console.event(event)
                continue
            decided = bool(event.evidence.get("decided"))  # in the past, where it is followed from its first event
            history.events.append(event)
            listen(event)
            if event.kind == "finished":
                bug.plan_has_ended(plan_id)
            groups.event(event)
            session.console.event(event)
            history.decided = history.decided or decided
            if event.kind == "waiting" and not (decided or history.reverting):
                history.checks = _confirm_or_revert(session, event, history.settings)


def _confirm_or_revert(session: Session, waiting: Event, settings: dict[str, str]) -> list[Check]:
    """Confirm once the public is served as the plan intends, else revert it; over a new connection."""
    site, screen = intended(session.site, settings), session.console
    seconds = waiting.evidence.get("left", waiting.evidence["seconds"])
    deadline = Deadline(seconds)
    # The decision must still reach the VPS, which may be busy.
    check_seconds = seconds - min(seconds / 2, _DECISION_MARGIN_SECONDS)
    runtime, refusing = runtime_named(settings.get("to", "")), edge.access_lists(settings)
    excuse = decisive.excuse(settings)
    checks = public.until_good(site, runtime, check_seconds, refusing=refusing, excuse=excuse)
    bad = [check for check in checks if not check.ok]
    result = "reverting" if bad else "confirmed"
    try:
        _send_decision(session.host, waiting.plan, "revert" if bad else "confirm", deadline)
    except Unreachable as error:
        result = "which did not reach the VPS"
        screen.warn(f"the decision did not reach the VPS, so the plan will revert by itself: {error.message}")
    for check in checks:
        screen.data("public", **asdict(check))
    warned = sum(check.ok and check.warning for check in checks)
    warnings = f", {warned} with a warning" if warned else ""
    screen.progress(f"public checks: {len(checks) - len(bad) - warned} of {len(checks)} good{warnings}, {result}")
    for check in checks:
        line = f"  {public.mark(check)} {check.name}: {check.text}"
        if not check.ok or check.warning:
            screen.progress(line)
        else:
            screen.detail(f"{line} ({check.ms} ms)")
    return checks


def _send_decision(host: Host, plan_id: str, decision: str, deadline: Deadline) -> None:
    """Send the decision, again and again where it does not get through, until the runner no longer waits for it.

    Raises Unreachable.
    """
    while True:
        try:
            host.decide(plan_id, decision)
        except Unreachable:
            if deadline.left <= _RETRY_SECONDS:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def steps_to_undo(events: list[Event]) -> list[str]:
    """The steps that a plan's journal shows as begun and not undone, in the order in which `inv revert` undoes them."""
    begun: dict[str, None] = {}
    for event in events:
        if event.step and event.kind == "start":
            begun[event.step] = None
        elif event.step and event.kind == "undone":
            begun.pop(event.step, None)
    return list(reversed(begun))


def _operator_reverts(plan_id: str, prompt: Callable[[str], str] = input) -> bool:
    """Where nobody can answer the plan is left running: it ends well by itself."""
    if not sys.stdin.isatty():
        return False
    try:
        answer = prompt(f"\n{plan_id} is still running on the VPS. [Enter] leave it running, [r] revert it: ")
    except (EOFError, KeyboardInterrupt):
        return False
    return answer.strip().lower() in ("r", "revert")


def _interrupted(plan_id: str) -> Interrupted:
    return Interrupted(
        "you stopped watching; the plan goes on",
        state=f"{plan_id} runs on the VPS to its end; where it waits for a confirmation and gets none, it reverts.",
        next_step=f"Follow it again: inv attach --plan {plan_id}",
    )


def _end(session: Session, plan_id: str, history: _History) -> None:
    last = history.events[-1] if history.events else None
    if last is None or not (last.kind == "finished" and last.evidence.get("outcome")):
        raise Unreachable(
            f"the events of {plan_id} ended before the plan did",
            state="The runner on the VPS goes on, or was killed; the journal there knows.",
            next_step=f"inv attach --plan {plan_id}, or inv status",
        )
    if not (
        history.decided and record.has_record(plan_id, last.evidence["outcome"], os.environ)
    ):  # that one has the checks
        record.leave(session.site, session.console, history.events, history.checks, os.environ)
    impact = console.impact(last)
    if impact:
        session.console.table("", console.IMPACT_COLUMNS, impact)
    error = console.ending(last)
    if error:
        raise error
    session.console.say(f"{plan_id}: {last.evidence['outcome']} in {last.ms / 1000:.1f} s.")


def _newest(host: Host) -> str:
    past = host.history()
    if not past:
        raise UsageError("no plan has run on this host yet", next_step="inv status shows what runs.")
    return past[-1].id
