"""Leaves the record of a plan behind, finds it again, and makes issues of what it leaves open."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import webbrowser
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from fabfile.commands.extensions import workflow
from fabfile.commands.session import Session
from fabfile.console import Console
from fabfile.errors import Failed, UsageError
from fabfile.inventory import Site
from fabfile.public import Check
from fabfile.record import Decision, Document, HookRun, RecordStore, limitations, model, open_decisions
from fabfile.runner.wire import shape
from fabfile.runner.wire.events import Event
from fabfile.terms import runtime_named

_HOW_TO_GET_ONE = "Every plan that you follow to its end leaves one: inv cutover, inv rollback --full, …"
UNTOUCHED = "Nothing was changed on the VPS."


class _Issue(TypedDict):
    """What `bd create --json` prints of an issue that it has made, as far as it is read."""

    id: str


def leave(
    site: Site, console: Console, events: Sequence[Event], checks: Iterable[Check], environ: Mapping[str, str]
) -> None:
    """Keep a record of a plan that has ended; one that never began has none.

    What goes wrong with that is a warning: the plan went as it went.
    """
    if events[0].kind != "start":
        return
    store = RecordStore.of(environ)
    try:
        document = _document(site, events, checks, environ)
        page = store.put(document)
    except Exception as error:  # noqa: BLE001  a fault of ours in the record must not hide how the plan ended
        console.warn(f"the record could not be kept in {store.folder}: {type(error).__name__}: {error}")
    else:
        console.say(f"record: {page}")
        _data(console, document, page)
        workflow.summarize(document, console, environ)


def has_record(plan_id: str, outcome: str, environ: Mapping[str, str]) -> bool:
    """Whether this machine has a readable record of the plan as it ended; a stuck one may have been reverted since."""
    try:
        document = RecordStore.of(environ).get(plan_id)
    except (OSError, ValueError):
        return False
    return document is not None and document.outcome == outcome


def page_of(plan_id: str, environ: Mapping[str, str]) -> Path | None:
    """The page of a plan's record on this machine; None where there is none."""
    page = RecordStore.of(environ).page_of(plan_id)
    return page if page.is_file() else None


def add_hooks(console: Console, plan_id: str, hooks: Iterable[HookRun], environ: Mapping[str, str]) -> None:
    """Add to a plan's record, where there is one, the hooks that ran around it; a fault of that is a warning."""
    store = RecordStore.of(environ)
    try:
        document = store.get(plan_id)
        if document:
            store.put(dataclasses.replace(document, hooks=tuple(hooks)))
    except (OSError, ValueError) as error:
        console.warn(f"the hooks could not be added to the record in {store.folder}: {error}")


def list_all(console: Console, environ: Mapping[str, str]) -> None:
    """A line for each record on this machine."""
    store = RecordStore.of(environ)
    rows = []
    for document in _readable(console, store):
        failed = f"{document.failures} of {document.requests}" if document.impact else ""
        rows.append(
            (
                document.id,
                document.name,
                document.who,
                document.began[:19],
                f"{document.seconds:.1f} s",
                document.outcome,
                failed,
            )
        )
        _data(console, document, store.page_of(document.id))
    if rows:
        console.table("", ("id", "plan", "who", "when (UTC)", "took", "ended", "failed requests"), rows)
    console.say(
        f"In {store.folder}. `inv record --last` opens the last one." if rows else f"No record yet. {_HOW_TO_GET_ONE}"
    )


def _readable(console: Console, store: RecordStore) -> Iterator[Document]:
    for plan in store.plans():
        try:
            document = store.get(plan)
        except ValueError as error:
            console.warn(str(error))
        else:
            if document:
                yield document


def open_one(session: Session, plan: str, environ: Mapping[str, str]) -> None:
    """Open the page of a plan's record, the last one's if `plan` is empty.

    One that this machine did not follow is made from the journal on the VPS. Raises UsageError, Failed.
    """
    store = RecordStore.of(environ)
    document = _stored(store, plan)
    if document is None:
        events = session.host.journal(plan)
        if not events:
            raise UsageError(f"there is no plan {plan}", next_step="inv history lists those on the VPS.")
        document = _document(session.site, events, (), environ)
        _store(store, document)
    page = store.page_of(document.id)
    session.console.say(f"{document.name}, {document.outcome}: {page}")
    _data(session.console, document, page)
    if not webbrowser.open(page.as_uri()):
        session.console.say("No browser is available here: open the file above.")


def follow_up(console: Console, plan: str, dry: bool, environ: Mapping[str, str]) -> None:
    """Make issues of what a plan left open, through the Beads command where that is installed; else list it.

    What has its issue already is left alone. Raises UsageError without a record, Failed as `bd` says.
    """
    store = RecordStore.of(environ)
    document = _stored(store, plan)
    if document is None:
        raise UsageError(f"there is no record of {plan} here", next_step="inv record lists those that are.")
    beads = shutil.which("bd", path=environ.get("PATH"))
    for number, decision in enumerate(document.decisions):
        if beads and not dry and not decision.issue:
            decision = dataclasses.replace(decision, issue=_issue(beads, document, decision))
            decisions = (*document.decisions[:number], decision, *document.decisions[number + 1 :])
            document = dataclasses.replace(document, decisions=decisions)
            _store(store, document)  # each at once, so that a failure at the next one makes none twice
        console.say(f"{decision.issue or '[ ]'} {decision.title}\n    {decision.text}")
        console.data("decision", title=decision.title, text=decision.text, issue=decision.issue)
    if not document.decisions:
        console.say(f"{document.id} left nothing open.")
    elif not beads:
        console.say(
            f"bd is not installed, so this is a checklist; it is in the record too: {store.page_of(document.id)}"
        )


def _data(console: Console, document: Document, page: Path) -> None:
    files = {"html": str(page), "markdown": str(page.with_suffix(".md"))}
    console.data("record", id=document.id, outcome=document.outcome, **files)


def _document(site: Site, events: Sequence[Event], checks: Iterable[Check], environ: Mapping[str, str]) -> Document:
    plain = model.document(events, checks)
    runtime = runtime_named(plain.settings.get("to", "")) if plain.outcome == "done" else ""
    return dataclasses.replace(
        plain,
        limitations=(*plain.limitations, *limitations(site, plain.up)),
        decisions=tuple(open_decisions(site, runtime, environ)),
    )


def _stored(store: RecordStore, plan: str) -> Document | None:
    """The record of a plan, or the last one. Raises UsageError when there is none at all, Failed for a broken one."""
    plans = store.plans()
    if not (plan or plans):
        raise UsageError(f"there is no record in {store.folder} yet", next_step=_HOW_TO_GET_ONE)
    try:
        return store.get(plan or plans[-1])
    except ValueError as error:
        raise Failed(
            str(error), state=UNTOUCHED, next_step="Move it away; inv record --plan ID makes it anew."
        ) from None


def _store(store: RecordStore, document: Document) -> Path:
    try:
        return store.put(document)
    except OSError as error:
        raise Failed(
            f"the record could not be kept in {store.folder}: {error}",
            state=UNTOUCHED,
            next_step="Make room there, or name another folder in ISLANDFLOW_RECORDS.",
        ) from error


def _issue(beads: str, document: Document, decision: Decision) -> str:
    """Have `bd` make an issue; its identifier."""
    text = f"{decision.text}\n\nLeft open by {document.id} ({document.outcome})."
    result = subprocess.run(
        [beads, "create", decision.title, "--description", text, "--type", "task", "--json"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    try:
        return str(shape.parse_as(result.stdout, _Issue)["id"])
    except ValueError:
        output = (result.stderr or result.stdout).strip()
        raise Failed(
            f"bd made no issue of “{decision.title}” (exit {result.returncode}): {output}",
            state=f"{UNTOUCHED} Issues that were made before are noted in the record.",
            next_step="Run it where Beads has been set up (bd init), then inv followup again.",
        ) from None
