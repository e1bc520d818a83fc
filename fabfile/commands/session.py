"""What every task does around its plan: inventory, survey, preflight, ship, follow, confirm."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from fabfile import inventory, resources, survey, workloads
from fabfile.checks import preflight
from fabfile.checks.result import Finding
from fabfile.checks.streams import Positions
from fabfile.commands import adopt, chosen, follow, preview, record, status
from fabfile.commands import soak as soaking
from fabfile.console import Report
from fabfile.errors import Failed, LockHeld, PreflightRefused, UsageError
from fabfile.inventory import RUNTIMES, Site
from fabfile.plans import edge, plan
from fabfile.plans.plan import Judgement, Plan
from fabfile.remote.host import Host
from fabfile.remote.target import opened
from fabfile.runner.wire.facts import Facts, FactsRequest, merge

Build = Callable[[Site, Facts], Plan]
Judge = Callable[[Site, Facts], list[Finding]]
Secrets = Callable[[Host], Mapping[str, str]]
Row = tuple[str, bool | None, str]  # what, good or not (None: can't be told), evidence

_MARKS = {True: "✓", False: "✗", None: "!"}
_GLANCE = 2.0  # seconds between two looks at a lock that is waited for
_LOOK = "`inv status` shows what runs; logs: journalctl --user -u UNIT, journalctl -u UNIT, docker logs."
_UNANSWERED = "could not be asked: `inv status` says why"


def load_site() -> Site:
    """The inventory of this command: chosen.py says which. Raises InventoryError, or UsageError where there is none."""
    return inventory.load(chosen.inventory_file(os.environ), os.environ)


class Operation:
    """One task on one host."""

    def __init__(
        self, context: Any, host: str | None, *, dry: bool = False, wait: bool = False, json: bool = False
    ) -> None:
        self.site = load_site()
        self.report = Report(json=json)
        self._dry = dry
        self._wait = wait
        self._host: Host = opened(context, self.site, host or None)

    def survey(self, wanted: FactsRequest | None = None) -> Facts:
        """Facts about the host; all that plans judge by unless told otherwise."""
        return self._host.survey(wanted or survey.wanted(self.site))

    def apply(
        self,
        build: Build,
        *,
        judge: Judge | None = None,
        versions: bool = False,
        confirm: bool = True,
        also: FactsRequest | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        """Survey, judge, build the plan, and have it executed, or only shown.

        `also` is what the plan must know besides what all do. With `confirm` off a plan does not wait for the
        public checks at its end. `secrets` gets what goes beside a plan that is shipped. Raises CutoverError.
        """
        self._when_free(lambda: self._apply(build, judge, versions, confirm, also or FactsRequest(), secrets))

    def _apply(
        self,
        build: Build,
        judge: Judge | None,
        versions: bool,
        confirm: bool,
        also: FactsRequest,
        secrets: Secrets | None,
    ) -> None:
        facts = self.survey(merge(survey.wanted(self.site, versions=versions), also))
        self._refuse_held(facts)
        warnings = self._refuse(preflight.runner(facts) + (judge(self.site, facts) if judge else []))
        built = plan.identified(
            edge.without_closed_api(self.site, facts, build(self.site, facts)), facts.versions, warnings
        )
        built = _accounted(self.site, built, facts)
        if not confirm and built.confirm_within:
            built = replace(built, confirm_within=0.0)
            self.report.warn("--no-confirm: a public side that does not work is not noticed, and nothing reverts")
        judgement = plan.judge(built, facts)
        if self._dry:
            self._show(judgement)
        elif not judgement.changes:
            self._nothing(judgement)
        else:
            beside = secrets(self._host) if secrets else {}
            follow.follow(self.site, self._host, self.report, built.id, self._host.ship(built, facts, beside))

    def checked(self, title: str, rows: Iterable[Row], next_step: str = _LOOK) -> None:
        """Show a check's rows. Raises Failed, with what to do next, when one is not good."""
        report_checks(self.report, title, rows, next_step)

    def check_health(self, title: str, wanted: FactsRequest) -> None:
        """Survey the health of workloads and show it. Raises Failed when one is not healthy."""
        health = self.survey(wanted).health
        keys = [f"{workload.runtime}/{workload.name}" for workload in wanted.workloads]
        rows = [(key, health[key].ok, health[key].text) if key in health else (key, False, _UNANSWERED) for key in keys]
        self.checked(title, rows)

    def watch_streams(self, seconds: float) -> None:
        """Follow the owner's JetStream for `seconds`, or until Ctrl-C when that is 0, and sum up what was seen.

        Raises Failed when a position moved back, something was skipped, or nobody answers in the end.
        """
        seen = Positions()
        with contextlib.suppress(KeyboardInterrupt):
            for at, look in self._host.positions(survey.streams_ref(self.site), seconds):
                for text in seen.take(at, look):
                    self.report.say(f"{at:6.1f} s  {text}")
                    self.report.data("moment", at=at, text=text)
        self.checked("positions", seen.rows())

    def soak(self, seconds: float, stop: bool) -> None:
        """Start a soak and follow it, end the one that runs, or show the last. Raises CutoverError by what it says."""
        soaking.soak(self.site, self._host, self.report, seconds, stop)

    def status(self) -> None:
        """Show who owns, where the edge points, what is healthy."""
        status.show(self.report, self.site, self.survey())

    def doctor(self) -> None:
        """Compare the inventory with the host, and judge both directions. Raises PreflightRefused."""
        adopt.doctor(self.site, self._host, self.report, resources.INVENTORY)

    def backups(self) -> None:
        """List the edge's backups."""
        status.backups(self.report, self.survey(FactsRequest(edge=survey.edge_ref(self.site), edge_backups="all")))

    def history(self, plan_id: str) -> None:
        """Show past plans, or the events of one."""
        told = self._host.history(plan_id or None)
        if plan_id:
            for event in told:
                self.report.event(event)
        else:
            status.past(self.report, told)

    def open_record(self, plan_id: str) -> None:
        """Open the record of a plan, or the last one on this machine. Raises CutoverError."""
        record.open_one(self.site, self.report, plan_id, self._host.history, os.environ)

    def attach(self, plan_id: str) -> None:
        """Follow a plan from its first event. Raises CutoverError as it ends."""
        wanted = plan_id or self._latest()
        follow.follow(self.site, self._host, self.report, wanted, self._host.follow(wanted))

    def revert(self, plan_id: str) -> None:
        """Revert an unfinished plan, the newest if none is named, or show what that would do. Raises CutoverError."""
        self._when_free(lambda: self._revert(plan_id))

    def _revert(self, plan_id: str) -> None:
        facts = self.survey(FactsRequest(ops=True))
        self._refuse_held(facts)
        unfinished = facts.ops.unfinished
        if not (plan_id or unfinished):
            self.report.say("revert: nothing to do, every plan has come to its end.")
            return
        wanted = plan_id or unfinished[-1]
        if self._dry:
            self._show_back(wanted)
            return
        earlier = self._host.history(wanted)
        follow.follow(self.site, self._host, self.report, wanted, self._host.revert(wanted), earlier)

    def _when_free(self, act: Callable[[], None]) -> None:
        """Act; while another plan runs and --wait was given, wait for its end and begin anew, with a new survey."""
        while True:
            try:
                act()
                return
            except LockHeld as held:
                if not self._wait:
                    raise
                self.report.say(f"waiting: {held.message}. Ctrl-C leaves; this command has changed nothing yet.")
                self.report.data("waiting", who=held.who, what=held.what, since=held.since)
            while self.survey(FactsRequest(ops=True)).ops.lock is not None:
                time.sleep(_GLANCE)

    def _refuse_held(self, facts: Facts) -> None:
        """What a survey finds while a plan runs is only half of one thing or another: nothing may be built on it."""
        holder = facts.ops.lock
        if holder is None:
            return
        held = LockHeld.by(holder.as_json())
        if not self._dry:
            raise held
        self.report.warn(f"{held.message}; what it will leave may differ from what is shown here")

    def _refuse(self, findings: list[Finding]) -> tuple[str, ...]:
        """Tell the warnings and return them. Raises PreflightRefused with everything that is more than one."""
        warnings = tuple(str(finding) for finding in findings if finding.warning)
        for warning in warnings:
            self.report.warn(warning)
        if len(warnings) < len(findings):
            raise PreflightRefused([str(finding) for finding in findings if not finding.warning])
        return warnings

    def _show(self, judgement: Judgement) -> None:
        for line in preview.lines(judgement):
            self.report.say(line)
        self.report.data("plan", plan=plan.as_json(judgement.plan), settled=judgement.no_ops)

    def _nothing(self, judgement: Judgement) -> None:
        name, steps = judgement.plan.name, len(judgement.plan.steps)
        for step, why in judgement.no_ops.items():
            self.report.say(f"· {step}: {why}")
        self.report.say(f"{name}: nothing to do, all {steps} steps' results are there already.")
        self.report.data("nothing", plan=name, settled=judgement.no_ops)

    def _show_back(self, plan_id: str) -> None:
        steps = follow.steps_to_undo(self._host.history(plan_id))
        self.report.say(f"{plan_id}: {len(steps)} steps would be undone")
        for name in steps:
            self.report.say(f"  ↶ {name}")
        self.report.data("revert", plan=plan_id, steps=steps)

    def _latest(self) -> str:
        told = self._host.history()
        if not told:
            raise UsageError("no plan has run on this host yet", next_step="inv status shows what runs.")
        return str(told[-1]["id"])


def _accounted(site: Site, built: Plan, facts: Facts) -> Plan:
    """The plan, which tells in its end what runs, and whether that was so before."""
    everything = tuple(w for runtime in RUNTIMES for w in workloads.everything(site, runtime))
    well = tuple(key for key, verdict in facts.health.items() if verdict.ok)
    return replace(built, workloads=built.workloads or everything, well=well)


def report_checks(report: Report, title: str, rows: Iterable[Row], next_step: str = _LOOK) -> None:
    """Show rows (what, good or not, evidence). Raises Failed, with what to do next, when one is not good."""
    told = list(rows)
    report.table(title, ("", "what", "evidence"), [(_MARKS[ok], what, text) for what, ok, text in told])
    for what, ok, text in told:
        report.data("check", what=what, ok=ok, text=text)
    bad = [what for what, ok, _ in told if ok is False]
    if bad:
        raise Failed(
            f"{title}: {len(bad)} of {len(told)} not good: {', '.join(bad)}",
            state="This command only looked; it changed nothing.",
            next_step=next_step,
        )
