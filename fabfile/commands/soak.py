"""Starts a soak on the VPS and follows it, shows one, ends one; what it recommends is `soak`'s business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fabfile import survey, workloads
from fabfile.checks import soak as judging
from fabfile.checks.soak import Recommendation, Story
from fabfile.commands.session import Session
from fabfile.console import Console, outage
from fabfile.errors import Failed, Interrupted
from fabfile.inventory import RUNTIMES, Site
from fabfile.plans import edge, plan, steps
from fabfile.runner.wire.codec import decode
from fabfile.runner.wire.events import Event
from fabfile.runner.wire.facts import Facts, FactsRequest, Workload
from fabfile.runner.wire.soak import Sample, Soak

EVERY = 60.0  # seconds between two samples
AT_LEAST = 20  # samples of a short soak: then they come closer together
ANSWER = 10.0  # seconds; nobody waits in a parking lot while a soak looks, so a longer wait is a failure
_LOOKED = "A soak only looks; it changed nothing."
_AGAIN = "Mend or wait for what is named, and soak again: inv soak --hours 24"
_NEXT = {
    "cut off": "Where the VPS has just started it goes on by itself, as inv soak tells. Else anew: inv soak --hours 24",
    "owner": "inv history tells which plan that was; a soak of what runs now: inv soak --hours 24",
}


def soak(session: Session, seconds: float, stop: bool) -> None:
    """With `seconds` start a soak and follow it to its end, with `stop` end the running one, else show the newest.

    Raises SoakAlreadyRunning, and Failed unless a soak that has ended recommends to keep what runs.
    """
    if seconds:
        _follow(session, _wanted(session.site, session.survey(_before(session.site)), seconds))
    elif stop:
        _stop(session)
    else:
        _show(session)


def _before(site: Site) -> FactsRequest:
    """What is looked at before a soak begins: the edge, and who is healthy."""
    return FactsRequest(edge=survey.edge_ref(site), workloads=_everything(site))


def _everything(site: Site) -> tuple[Workload, ...]:
    return tuple(w for runtime in RUNTIMES for w in workloads.everything(site, runtime))


def _wanted(site: Site, facts: Facts, seconds: float) -> Soak:
    """The soak of a site.

    It shall not ask for a hostname that is closed on purpose, nor hold against a runtime that an optional service is
    ill which was so before.
    """
    open_only = edge.without_closed_api(site, facts, plan.Plan("soak", (), watch=steps.watches(site))).watch
    return Soak(
        id=plan.identifier("soak"),
        who=plan.operator(),
        seconds=seconds,
        every=min(EVERY, seconds / AT_LEAST),
        workloads=steps.awaited(site, facts, _everything(site)),
        streams=survey.streams_ref(site),
        edge=survey.edge_ref(site),
        watch=tuple(replace(watch, timeout=ANSWER) for watch in open_only),
    )


def _follow(session: Session, wanted: Soak) -> None:
    events: list[Event] = []
    try:
        for event in session.host.soak_start(wanted):
            events.append(event)
            _show_event(session.console, event)
    except KeyboardInterrupt:
        raise Interrupted(
            "you stopped watching; the soak goes on",
            state=f"{wanted.id} runs on the VPS to its end, and only looks.",
            next_step="inv soak shows how it stands, and in the end what it recommends; inv soak --stop ends it.",
        ) from None
    _end(session.console, judging.story(events, running=False))


def _stop(session: Session) -> None:
    console, events = session.console, session.host.soak_stop()
    if not events:
        console.say("soak: nothing to stop, none runs.")
        console.data("nothing", name="soak", settled={})
        return
    for event in events:
        console.event_data(event)
    _end(console, judging.story(events, running=False))


def _show(session: Session) -> None:
    console, (running, events) = session.console, session.host.soak_show()
    if not events:
        console.say("No soak has run on this host yet: inv soak --hours 24")
        console.data("nothing", name="soak", settled={})
        return
    report = judging.story(events, running=running == events[0].plan)
    for event in events:
        console.event_data(event)
    if report.ended:
        _end(console, report)
        return
    _figures(console, report, judging.figures(report))
    console.say(f"It goes on, for {report.soak.seconds / 3600:.2g} h in all; inv soak --stop ends it.")


def _show_event(console: Console, event: Event) -> None:
    """One event of a soak, as it comes."""
    console.event_data(event)
    evidence = event.evidence
    if event.kind == "start":
        wanted: Soak = decode(evidence["soak"])
        console.progress(f"▸ soak of {wanted.seconds / 3600:.2g} h, a sample every {wanted.every:.2g} s: {wanted.id}")
        console.progress("  Ctrl-C only stops watching.")
    elif event.kind == "sample":
        console.progress(f"{event.time[11:19]}  {_summed(decode(evidence['sample']))}")
    elif event.kind == "outage":
        console.progress(f"! {outage(event)}")


def _summed(sample: Sample) -> str:
    """A sample in a line."""
    ill = [f"{name}: {pulse.text}" for name, pulse in sample.workloads.items() if not pulse.ok]
    held = sum(pulse.memory.held for pulse in sample.workloads.values() if pulse.memory)
    behind = sum(lag.behind for lag in sample.durables.values())
    requests = sum(asked.requests for asked in sample.edge.values())
    failures = sum(asked.failures for asked in sample.edge.values())
    errors = sum(served.errors for served in sample.served.values())
    parts = [
        f"{sample.owner or 'nobody'}: {len(sample.workloads) - len(ill)} of {len(sample.workloads)} healthy",
        f"{held / judging.MB:.0f} MB",
        f"lag {behind}",
        f"{failures} of {requests} requests failed",
        *([f"{errors} answers 5xx"] if errors else []),
        *ill,
        *sample.problems,
    ]
    return " · ".join(parts)


def _end(console: Console, report: Story) -> None:
    said = judging.recommend(report)
    _figures(console, report, said.figures)
    console.data(
        "recommendation", soak=report.soak.id, ended=report.ended, hours=round(report.hours, 4), **_plain(said)
    )
    if said.verdict.startswith("keep"):
        console.say(said.sentence)
        return
    raise Failed(
        f"the soak says {said.sentence}",
        state=_LOOKED,
        next_step=said.command or _NEXT.get(report.ended, _AGAIN),
    )


def _plain(said: Recommendation) -> dict[str, Any]:
    return {"verdict": said.verdict, "reasons": said.reasons, "command": said.command}


def _figures(console: Console, report: Story, figures: Sequence[judging.Figures]) -> None:
    console.say(
        f"{report.soak.id} by {report.soak.who}, since {report.since[:19]} UTC: {report.hours:.2g} h of {report.owner}"
    )
    for kind, columns in judging.COLUMNS.items():
        rows = [("✗" if f.faults else "✓", f.what, *f.cells) for f in figures if f.kind == kind]
        console.table("", ("", kind, *columns), rows)
    for figure in figures:
        console.data(figure.kind, what=figure.what, ok=not figure.faults, **figure.numbers)
