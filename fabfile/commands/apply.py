"""What every task that changes a host does around its plan: survey, preflight, ship, follow, confirm."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from fabfile.commands import session
from fabfile.errors import (
    Failed,
    Interrupted,
    LockHeld,
    ManualInterventionRequired,
    PreflightRefused,
    Unreachable,
    UsageError,
)
from fabfile.inventory import RUNTIMES, Site
from fabfile.lazy import lazily
from fabfile.output import has_terminal
from fabfile.remote.host import Host
from fabfile.runner.wire.events import Event
from fabfile.runner.wire.facts import Facts, FactsRequest

# Loaded while the connection is made and while the VPS looks.
with lazily():
    import fabfile.commands.public
    from fabfile import survey, workloads
    from fabfile.checks import preflight
    from fabfile.commands import follow, preview
    from fabfile.commands.extensions import hooks, webhook
    from fabfile.plans import edge, plan

if TYPE_CHECKING:
    from fabfile.checks.result import Finding
    from fabfile.plans.plan import Judgement, Plan

Build = Callable[[Site, Facts], "Plan"]
Judge = Callable[[Site, Facts], "list[Finding]"]
Secrets = Callable[[Host], Mapping[str, str]]

_FRESH_SECONDS = 30.0  # seconds for which a survey counts while somebody thinks
_plans_are_shown: ContextVar[bool] = ContextVar("plans_are_shown", default=False)
_only_summed_up: ContextVar[bool] = ContextVar("only_summed_up", default=False)
_POLL_SECONDS = 2.0  # seconds between two looks at a lock that is waited for


@contextlib.contextmanager
def plans_shown() -> Iterator[None]:
    """Whatever is applied within shows its whole plan, as --dry does, and asks before it begins."""
    token = _plans_are_shown.set(True)
    try:
        yield
    finally:
        _plans_are_shown.reset(token)


@contextlib.contextmanager
def summed_up() -> Iterator[None]:
    """Whatever is only shown within is shown in a few lines, for somebody who says whether several plans begin."""
    token = _only_summed_up.set(True)
    try:
        yield
    finally:
        _only_summed_up.reset(token)


def require_terminal(*, json: bool) -> None:
    """Raise UsageError where nobody can be asked whether a plan may begin."""
    if json or not has_terminal():
        why = "with --json" if json else "where there is no terminal"
        raise UsageError(
            f"nobody can be asked {why} whether this may begin",
            next_step="Look at it with --dry, then run it with --yes.",
        )


class Operation:
    """One change of one host: carried out, or with `dry` only shown; with `wait` once no other plan runs."""

    def __init__(
        self,
        context: Any,
        host: str = "",
        *,
        dry: bool = False,
        wait: bool = False,
        json: bool = False,
        hooks: str = "",
        ask: bool = False,
    ) -> None:
        """`hooks` is the task whose hooks run around its plan; without it none do. With `ask` somebody must say yes.

        Raises UsageError where nobody can, besides what `session.begin` raises.
        """
        self.session = session.begin(context, host, json=json)
        self._console = self.session.console
        self.dry = dry
        self._wait = wait
        self._hooks = hooks
        self._shows_plan = _plans_are_shown.get()
        self._ask = (ask or self._shows_plan) and not dry
        if self._ask:
            require_terminal(json=json)

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
        self._run_when_free(lambda: self._apply(build, judge, versions, confirm, also or FactsRequest(), secrets))

    def _apply(
        self,
        build: Build,
        judge: Judge | None,
        versions: bool,
        confirm: bool,
        also: FactsRequest,
        secrets: Secrets | None,
    ) -> None:
        site = self.session.site
        self.session.host.connect()
        request = survey.merge(survey.request(site, versions=versions), also)
        judges = (plan, edge, preflight, workloads, *([preview] if self.dry or self._ask else []))
        facts = self.session.survey(request, judges)
        self._refuse_if_locked(facts)
        findings = preflight.runner(facts) + (judge(site, facts) if judge else [])
        warnings = self._refuse(list(dict.fromkeys(findings)))  # a whole hand-over's judge begins with the runner's
        intended = edge.with_access_lists(facts, edge.without_closed_api(site, facts, build(site, facts)))
        built = _with_workloads(site, plan.identified(intended, facts.versions, warnings, facts.exposures), facts)
        if not confirm and built.confirm_within:
            built = replace(built, confirm_within=0.0)
            self._console.warn("--no-confirm: a public side that does not work is not noticed, and nothing reverts")
        judgement = plan.judge(built, facts)
        if self.dry:
            self._show(judgement)
        elif not judgement.changes:
            self._show_no_op(judgement)
        elif self._ask and not self._answered_at_once(judgement):
            self._apply(build, judge, versions, confirm, also, secrets)  # what was surveyed is no longer sure
        else:
            self._execute(built, facts, secrets(self.session.host) if secrets else {})

    def _execute(self, built: Plan, facts: Facts, secrets: Mapping[str, str]) -> None:
        """Have a plan executed, between the operator's hooks. Raises CutoverError as the plan ends."""
        around = hooks.Hooks(self.session, self._hooks, os.environ)
        around.before(built.id)
        compared = fabfile.commands.public.compared(self._console, self.session.site, built)
        try:
            self._follow(built.id, self.session.host.ship(compared, facts, secrets))
        except (Failed, ManualInterventionRequired, Unreachable) as error:
            around.failed(built.id, error)
            raise
        around.after(built.id)

    def _answered_at_once(self, judgement: Judgement) -> bool:
        """Ask whether the plan may begin; returns whether the survey still counts. Raises Interrupted for a no."""
        began = time.monotonic()
        shown = preview.lines(judgement) if self._shows_plan else ()
        self.agree(chain(shown, preview.summary(judgement, self.session.host.name)), "Begin?")
        self._ask = False
        return time.monotonic() - began < _FRESH_SECONDS

    def agree(self, lines: Iterable[str], question: str) -> None:
        """Ask whether to go on, unless --yes says so already. Raises Interrupted for anything but a yes."""
        if self._ask and not self._console.confirms(lines, question):
            raise Interrupted("it has not begun, since nobody said yes", next_step="Run the same command again.")

    def _follow(self, plan_id: str, events: Iterator[Event], earlier: Iterable[Event] = ()) -> None:
        """Follow a plan, and have the operator's webhook know of it."""
        with webhook.Webhook(self.session.site.notify, self._console, os.environ) as listener:
            follow.follow(self.session, plan_id, events, earlier, listener.event)

    def revert(self, plan_id: str, last: bool = False) -> None:
        """Revert the plan that runs, at once, or an unfinished one, with `last` the newest; or show what that would do.

        Raises CutoverError.
        """
        self._run_when_free(lambda: self._revert(plan_id, last))

    def _revert(self, plan_id: str, last: bool) -> None:
        facts = self.session.survey(FactsRequest(ops=True))
        holder = facts.ops.lock
        if holder and holder.plan and plan_id in ("", holder.plan) and not self._wait:
            if self.dry:
                self._show_revert(holder.plan)
            else:
                follow.revert_running(self.session, holder.plan)
            return
        if not (plan_id or last or holder):
            raise UsageError(
                "no plan runs, and revert needs --plan or --last for one that was interrupted or got stuck",
                next_step="inv status names the plans that are unfinished.",
            )
        self._refuse_if_locked(facts)
        unfinished = facts.ops.unfinished
        if not (plan_id or unfinished):
            self._console.say("revert: nothing to do, every plan has come to its end.")
            self._console.data("nothing", name="revert", no_ops={})
            return
        target = plan_id or unfinished[-1]
        if self.dry or self._shows_plan:
            self._show_revert(target)
        if self.dry:
            return
        self.agree((), "Revert it?")
        earlier = self.session.host.journal(target)
        self._follow(target, self.session.host.revert(target), earlier)

    def _run_when_free(self, act: Callable[[], None]) -> None:
        """Act; while another plan runs and --wait was given, wait for its end and begin anew, with a new survey."""
        while True:
            try:
                act()
                return
            except LockHeld as lock:
                if not self._wait:
                    raise
                self._console.progress(f"waiting: {lock.message}. Ctrl-C leaves; this command has changed nothing yet.")
                self._console.data("lock", who=lock.who, what=lock.what, since=lock.since)
            while self.session.survey(FactsRequest(ops=True)).ops.lock is not None:
                time.sleep(_POLL_SECONDS)

    def _refuse_if_locked(self, facts: Facts) -> None:
        """Raise LockHeld while a plan runs: a survey sees it half done, and no plan can be built on that."""
        holder = facts.ops.lock
        if holder is None:
            return
        lock = LockHeld.by(holder.as_json())
        if not self.dry:
            raise lock
        self._console.warn(f"{lock.message}; what it will leave may differ from what is shown here")

    def _refuse(self, findings: list[Finding]) -> tuple[str, ...]:
        """Show the warnings and return them. Raises PreflightRefused with everything that is more than one."""
        warnings = tuple(str(finding) for finding in findings if finding.warning)
        for warning in warnings:
            self._console.warn(warning)
        if len(warnings) < len(findings):
            raise PreflightRefused([str(finding) for finding in findings if not finding.warning])
        return warnings

    def _show(self, judgement: Judgement) -> None:
        if _only_summed_up.get() and not judgement.changes:
            self._show_no_op(judgement)
            return
        short = _only_summed_up.get()
        for line in preview.summary(judgement, self.session.host.name) if short else preview.lines(judgement):
            self._console.say(line)
        self._console.data("plan", plan=plan.as_json(judgement.plan), no_ops=judgement.no_ops)

    def _show_no_op(self, judgement: Judgement) -> None:
        name, steps = judgement.plan.name, len(judgement.plan.steps)
        for step, why in judgement.no_ops.items():
            self._console.say(f"· {step}: {why}")
        self._console.say(f"{name}: nothing to do: all {steps} steps are already in place.")
        self._console.data("nothing", name=name, no_ops=judgement.no_ops)

    def _show_revert(self, plan_id: str) -> None:
        steps = follow.steps_to_undo(self.session.host.journal(plan_id))
        self._console.say(f"{plan_id}: {len(steps)} steps would be undone")
        for name in steps:
            self._console.say(f"  ↶ {name}")
        self._console.data("revert", plan=plan_id, steps=steps)


def _with_workloads(site: Site, built: Plan, facts: Facts) -> Plan:
    """The plan, with the workloads whose health its end reports, and those that were healthy before."""
    everything = tuple(w for runtime in RUNTIMES for w in workloads.everything(site, runtime))
    well = tuple(key for key, verdict in facts.health.items() if verdict.ok)
    return replace(built, workloads=built.workloads or everything, well=well)
