"""Starts a soak on the VPS and follows it, shows one, ends one; what it recommends is decided in `checks/soak.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fabfile import survey, workloads
from fabfile.checks.soak import COLUMNS, MB, Metric, Recommendation, SoakReport, metrics, recommend, soak_report
from fabfile.commands.session import Session
from fabfile.console import Console
from fabfile.errors import Failed, Interrupted
from fabfile.event_text import outage
from fabfile.inventory import RUNTIMES, Site
from fabfile.plans import edge, plan, steps
from fabfile.runner.wire.codec import decode
from fabfile.runner.wire.events import Event
from fabfile.runner.wire.facts import Facts, FactsRequest, Workload
from fabfile.runner.wire.soak import Sample, Soak

SAMPLE_SECONDS = 60.0  # seconds between two samples
MIN_SAMPLES = 20  # samples of a short soak: then they come closer together
ANSWER_SECONDS = 10.0  # seconds; nobody waits in a parking lot while a soak looks, so a longer wait is a failure
_UNCHANGED = "A soak only looks; it changed nothing."
_RETRY = "Fix or wait for what is named, and soak again: inv soak --hours 24"
_NEXT_STEPS = {
    "cut off": "Where the VPS has just started it goes on by itself, as inv soak tells. Else anew: inv soak --hours 24",
    "owner": "inv history tells which plan that was; a soak of what runs now: inv soak --hours 24",
}


def soak(session: Session, seconds: float, stop: bool) -> None:
    """With `seconds` start a soak and follow it to its end, with `stop` end the running one, else show the newest.

    Raises SoakAlreadyRunning, and Failed unless a soak that has ended recommends to keep what runs.
    """
    if seconds:
        _follow(session, _new_soak(session.site, session.survey(_facts_request(session.site)), seconds))
    elif stop:
        _stop(session)
    else:
        _show(session)


def _facts_request(site: Site) -> FactsRequest:
    """What is looked at before a soak begins: the edge, and who is healthy."""
    return FactsRequest(edge=survey.edge_ref(site), workloads=_everything(site))


def _everything(site: Site) -> tuple[Workload, ...]:
    return tuple(w for runtime in RUNTIMES for w in workloads.everything(site, runtime))


def _new_soak(site: Site, facts: Facts, seconds: float) -> Soak:
    """The soak of a site.

    It shall not ask for a hostname that is closed on purpose, nor hold against a runtime that an optional service is
    ill which was so before.
    """
    asked = plan.Plan("soak", (), watch=steps.watches(site, facts))
    open_only = edge.with_access_lists(facts, edge.without_closed_api(site, facts, asked)).watch
    return Soak(
        id=plan.identifier("soak"),
        who=plan.operator(),
        seconds=seconds,
        every=min(SAMPLE_SECONDS, seconds / MIN_SAMPLES),
        workloads=steps.awaited(site, facts, _everything(site)),
        streams=survey.streams_ref(site),
        edge=survey.edge_ref(site),
        watch=tuple(replace(watch, timeout=ANSWER_SECONDS) for watch in open_only),
    )


def _follow(session: Session, request: Soak) -> None:
    events: list[Event] = []
    try:
        for event in session.host.soak_start(request):
            events.append(event)
            _show_event(session.console, event)
    except KeyboardInterrupt:
        raise Interrupted(
            "you stopped watching; the soak goes on",
            state=f"{request.id} runs on the VPS to its end, and only looks.",
            next_step="inv soak shows how it stands, and in the end what it recommends; inv soak --stop ends it.",
        ) from None
    _end(session.console, _report(events, running=False))


def _stop(session: Session) -> None:
    console, events = session.console, session.host.soak_stop()
    if not events:
        console.say("soak: nothing to stop, none runs.")
        console.data("nothing", name="soak", no_ops={})
        return
    for event in events:
        console.event_data(event)
    _end(console, _report(events, running=False))


def _show(session: Session) -> None:
    console, (running, events) = session.console, session.host.soak_show()
    if not events:
        console.say("No soak has run on this host yet: inv soak --hours 24")
        console.data("nothing", name="soak", no_ops={})
        return
    report = _report(events, running=running == events[0].plan)
    for event in events:
        console.event_data(event)
    if report.ended:
        _end(console, report)
        return
    _show_metrics(console, report, metrics(report))
    console.say(f"It goes on, for {report.soak.seconds / 3600:.2g} h in all; inv soak --stop ends it.")


def _report(events: Sequence[Event], running: bool) -> SoakReport:
    """The soak as its events say. Raises Failed where they are of none."""
    try:
        return soak_report(events, running)
    except ValueError as error:
        raise Failed(
            f"what the VPS has of the soak is damaged: {error}",
            state=_UNCHANGED,
            next_step="Start another one: inv soak --hours 24",
        ) from error


def _show_event(console: Console, event: Event) -> None:
    """One event of a soak, as it comes."""
    console.event_data(event)
    evidence = event.evidence
    if event.kind == "start" and "soak" in evidence:
        settings: Soak = decode(evidence["soak"])
        console.progress(
            f"▸ soak of {settings.seconds / 3600:.2g} h, a sample every {settings.every:.2g} s: {settings.id}"
        )
        console.progress("  Ctrl-C only stops watching.")
    elif event.kind == "sample":
        console.progress(f"{event.time[11:19]}  {_summary(decode(evidence['sample']))}")
    elif event.kind == "outage":
        console.progress(f"! {outage(event)}")


def _summary(sample: Sample) -> str:
    """A sample in a line."""
    ill = [f"{name}: {pulse.text}" for name, pulse in sample.workloads.items() if not pulse.ok]
    memory = sum(pulse.memory.held for pulse in sample.workloads.values() if pulse.memory)
    behind = sum(lag.behind for lag in sample.durables.values())
    requests = sum(counts.requests for counts in sample.edge.values())
    failures = sum(counts.failures for counts in sample.edge.values())
    errors = sum(served.errors for served in sample.served.values())
    parts = [
        f"{sample.owner or 'nobody'}: {len(sample.workloads) - len(ill)} of {len(sample.workloads)} healthy",
        f"{memory / MB:.0f} MB",
        f"lag {behind}",
        f"{failures} of {requests} requests failed",
        *([f"{errors} answers 5xx"] if errors else []),
        *ill,
        *sample.problems,
    ]
    return " · ".join(parts)


def _end(console: Console, report: SoakReport) -> None:
    recommendation = recommend(report)
    _show_metrics(console, report, recommendation.metrics)
    console.data(
        "recommendation",
        soak=report.soak.id,
        ended=report.ended,
        hours=round(report.hours, 4),
        **_plain(recommendation),
    )
    if recommendation.verdict.startswith("keep"):
        console.say(recommendation.sentence)
        return
    raise Failed(
        f"the soak says {recommendation.sentence}",
        state=_UNCHANGED,
        next_step=recommendation.command or _NEXT_STEPS.get(report.ended, _RETRY),
    )


def _plain(recommendation: Recommendation) -> dict[str, Any]:
    return {"verdict": recommendation.verdict, "reasons": recommendation.reasons, "command": recommendation.command}


def _show_metrics(console: Console, report: SoakReport, metrics: Sequence[Metric]) -> None:
    console.say(
        f"{report.soak.id} by {report.soak.who}, since {report.since[:19]} UTC: {report.hours:.2g} h of {report.owner}"
    )
    for kind, columns in COLUMNS.items():
        rows = [
            ("✗" if metric.faults else "✓", metric.what, *metric.cells) for metric in metrics if metric.kind == kind
        ]
        console.table("", ("", kind, *columns), rows)
    for metric in metrics:
        console.data(metric.kind, what=metric.what, ok=not metric.faults, **metric.numbers)
