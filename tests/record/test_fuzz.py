"""Whatever the VPS calls an event, and whatever became of a stored record: words and a page, or an error."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from fabfile import output
from fabfile.checks.soak import metrics
from fabfile.commands import soak
from fabfile.console import Console, ending, impact
from fabfile.errors import CutoverError
from fabfile.record import page
from fabfile.record.model import document
from fabfile.record.store import RecordStore
from fabfile.remote import refusals
from fabfile.runner.wire.events import Event
from tests.checks import test_soak
from tests.record.journals import DONE, REVERTED
from tests.support import fuzz


def test_any_events_become_a_page_or_are_refused(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)

    def act(chance: Random) -> None:
        events = _damaged(chance, chance.choice((DONE, REVERTED)))
        if not events:
            return
        made = document(events)
        page.html(made)
        store.put(made)
        assert store.get(made.id) == made

    fuzz.search(act, OSError, share=0.3)


def test_any_events_are_shown_and_end_a_command_in_words() -> None:
    with output.using(verbose=True):
        console = Console()

    def act(chance: Random) -> None:
        events = _damaged(chance, chance.choice((DONE, REVERTED)))
        for one in events:
            console.past_event(one)
        if events and events[-1].evidence.get("outcome"):
            impact(events[-1])
            error = ending(events[-1])
            assert error is None or error.render()

    fuzz.search(act)


def test_any_lines_of_a_soak_are_shown_and_judged_or_refused() -> None:
    console = Console()

    def act(chance: Random) -> None:
        events = _damaged(chance, test_soak.lines())
        for one in events:
            soak._show_event(console, one)
        if events:
            report = soak._report(events, running=chance.random() < 0.5)
            soak._show_metrics(console, report, metrics(report))
            if report.ended:
                soak._end(console, report)

    fuzz.search(act, CutoverError)


@pytest.mark.parametrize("how", ["types", "bytes"])
def test_any_stored_record_is_read_or_refused(how: str, tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    made = document(REVERTED)
    store.put(made)
    file = tmp_path / f"{made.id}.json"
    whole = file.read_bytes()

    def act(chance: Random) -> None:
        if how == "types":
            file.write_text(fuzz.as_json(chance, json.loads(whole)))
        else:
            file.write_bytes(fuzz.damaged(chance, whole))
        found = store.get(made.id)
        if found:
            assert page.markdown(found)

    fuzz.search(act, ValueError, share=0.5)


def _damaged(chance: Random, events: list[Event]) -> list[Event]:
    """The events after an accident in one of their lines; none where their reader refuses them."""
    at = chance.randrange(len(events))
    texts = [json.dumps(one.line()) for one in events]
    texts[at] = fuzz.as_json(chance, events[at].line())
    try:
        return [refusals.event(refusals.answer(text.encode())) for text in texts]
    except CutoverError:
        return []
