"""Starts a soak on the VPS and follows it, shows one, ends one; what it recommends is `soak`'s business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from fabfile import survey, workloads
from fabfile.checks import soak as judging
from fabfile.checks.soak import Recommendation, Story
from fabfile.console import Event, Report
from fabfile.errors import Failed, Interrupted, SoakAlreadyRunning
from fabfile.inventory import RUNTIMES, Site
from fabfile.plans import edge, plan, steps
from fabfile.remote.host import Host
from fabfile.runner.wire.codec import decode
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


def soak(site: Site, host: Host, report: Report, seconds: float, stop: bool) -> None:
    """With `seconds` start a soak and follow it to its end, with `stop` end the running one, else show the newest.

    Raises SoakAlreadyRunning, and Failed unless a soak that has ended recommends to keep what runs.
    """
    if seconds:
        _follow(report, _wanted(site, host.survey(_before(site)), seconds), host)
    elif stop:
        _stop(report, host)
    else:
        _show(report, host)


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


def _follow(report: Report, wanted: Soak, host: Host) -> None:
    lines: list[Event] = []
    try:
        for line in host.soak_start(wanted):
            if line["event"] == "held":
                raise _taken(line["holder"])
            lines.append(line)
            _tell(report, line)
    except KeyboardInterrupt:
        raise Interrupted(
            "you stopped watching; the soak goes on",
            state=f"{wanted.id} runs on the VPS to its end, and only looks.",
            next_step="inv soak shows how it stands, and in the end what it recommends; inv soak --stop ends it.",
        ) from None
    _end(report, judging.story(lines, running=False))


def _stop(report: Report, host: Host) -> None:
    lines = host.soak_stop()
    if not lines:
        report.say("soak: nothing to stop, none runs.")
        report.data("nothing", plan="soak")
        return
    for line in lines:
        _data(report, line)
    _end(report, judging.story(lines, running=False))


def _show(report: Report, host: Host) -> None:
    first, *lines = host.soak_show()
    if not lines:
        report.say("No soak has run on this host yet: inv soak --hours 24")
        report.data("nothing", plan="soak")
        return
    told = judging.story(lines, running=first["holder"].get("soak") == lines[0]["plan"])
    for line in lines:
        _data(report, line)
    if told.ended:
        _end(report, told)
        return
    _figures(report, told, judging.figures(told))
    report.say(f"It goes on, for {told.soak.seconds / 3600:.2g} h in all; inv soak --stop ends it.")


def _tell(report: Report, line: Event) -> None:
    """One line of a soak's file, as it comes."""
    _data(report, line)
    evidence = line["evidence"]
    if line["event"] == "start":
        wanted: Soak = decode(evidence["soak"])
        report.say(f"▸ soak of {wanted.seconds / 3600:.2g} h, a sample every {wanted.every:.2g} s: {wanted.id}")
        report.say("  Ctrl-C only stops watching.")
    elif line["event"] == "sample":
        report.say(f"{line['time'][11:19]}  {_summed(decode(evidence['sample']))}")
    elif line["event"] == "outage":
        errors = ", ".join(f"{count} × {error}" for error, count in evidence["errors"].items())
        report.say(f"! {evidence['watch']} was away for {evidence['lasted_ms'] / 1000:.2f} s ({errors})")


def _data(report: Report, line: Event) -> None:
    """The same for programs."""
    evidence = line["evidence"]
    if line["event"] == "start":
        wanted: Soak = decode(evidence["soak"])
        report.data("soak", id=wanted.id, who=wanted.who, seconds=wanted.seconds, every=wanted.every)
    elif line["event"] == "sample":
        report.data("sample", time=line["time"], **asdict(decode(evidence["sample"])))
    elif line["event"] == "outage":
        report.data("outage", time=line["time"], **evidence)


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


def _end(report: Report, told: Story) -> None:
    said = judging.recommend(told)
    _figures(report, told, said.figures)
    report.data("recommendation", soak=told.soak.id, ended=told.ended, hours=round(told.hours, 4), **_plain(said))
    if said.verdict.startswith("keep"):
        report.say(said.sentence)
        return
    raise Failed(
        f"the soak says {said.sentence}",
        state=_LOOKED,
        next_step=said.command or _NEXT.get(told.ended, _AGAIN),
    )


def _plain(said: Recommendation) -> dict[str, Any]:
    return {"verdict": said.verdict, "reasons": said.reasons, "command": said.command}


def _figures(report: Report, told: Story, figures: Sequence[judging.Figures]) -> None:
    report.say(f"{told.soak.id} by {told.soak.who}, since {told.since[:19]} UTC: {told.hours:.2g} h of {told.owner}")
    for kind, columns in judging.COLUMNS.items():
        rows = [("✗" if f.faults else "✓", f.what, *f.cells) for f in figures if f.kind == kind]
        report.table("", ("", kind, *columns), rows)
    for figure in figures:
        report.data(figure.kind, what=figure.what, ok=not figure.faults, **figure.numbers)


def _taken(holder: dict[str, Any]) -> SoakAlreadyRunning:
    return SoakAlreadyRunning(str(holder.get("who")), str(holder.get("what")), str(holder.get("since")))
