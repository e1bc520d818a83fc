"""Deploys a commit of the app, goes back to an earlier release, and lists releases."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import fabfile.plans.deploy
from fabfile import survey
from fabfile.checks import parts, preflight
from fabfile.checks.result import Finding
from fabfile.commands.apply import Operation
from fabfile.console import Console
from fabfile.errors import PreflightRefused, UsageError
from fabfile.inventory import Service, Site
from fabfile.plans.plan import Plan, operator
from fabfile.runner.wire.facts import Facts, FactsRequest
from fabfile.runner.wire.release import Release
from fabfile.terms import RUNTIMES, Runtime, Scope, runtime_named

OWNER = "owner"
"""Stands for the runtime that owns."""

CURRENT = "current"
"""The ref that stands for the branch that is checked out where the command runs."""

_GIT_SECONDS = 120.0  # for one command of git on this machine


@dataclass(frozen=True)
class Choice:
    """What an operator chose: services by name or by scope, and the runtime, or whichever owns."""

    scope: Scope = "full"
    pieces: str = ""
    runtime: str = OWNER
    fast: bool = False

    def runtime_of(self, facts: Facts) -> Runtime:
        """The runtime; the owner's where none was chosen, and native where nobody owns."""
        return runtime_named(self.runtime) or survey.owner(facts) or "native"

    def services(self, site: Site, runtime: Runtime = "native") -> tuple[Service, ...]:
        """The services. Raises UsageError for a name that is none."""
        if not self.pieces:
            quick = "workers" if runtime == "native" else "services"
            return site.scope(quick if self.fast and self.scope == "full" else self.scope)
        if self.scope != "full":
            raise UsageError("--scope and --pieces exclude each other", next_step="Leave one of them out.")
        names = [name.strip() for name in self.pieces.split(",") if name.strip()]
        for name in names or [self.pieces]:
            if name not in site.services:
                raise UsageError.unknown("service", name, site.services)
        return tuple(service for service in site.services.values() if service.name in names)


def deploy(
    operation: Operation, ref: str, choice: Choice, *, build: bool = True, confirm: bool = True, anew: bool = False
) -> None:
    """Have the chosen services run a branch, tag or commit. Raises CutoverError."""
    site = operation.session.site
    choice.services(site)  # a wrong name is told before anything is asked, or pushed
    target = push_current(operation) if ref == CURRENT else ref

    def plan(site: Site, facts: Facts) -> Plan:
        runtime = choice.runtime_of(facts)
        services = choice.services(site, runtime)
        return fabfile.plans.deploy.deploy(site, facts, ref, services, operator(), runtime=runtime, anew=anew)

    def judge(site: Site, facts: Facts) -> list[Finding]:
        runtime = choice.runtime_of(facts)
        found = _native_has_no_containers(runtime) if anew else []
        return found + _findings(site, facts, choice.services(site, runtime), runtime, plan, build=build)

    operation.apply(plan, judge=judge, also=survey.releases(site, target), confirm=confirm)


def go_back(operation: Operation, ref: str, choice: Choice, *, confirm: bool = True) -> None:
    """Have the chosen services run the last good release again, or a ref's. Raises CutoverError."""
    site = operation.session.site
    choice.services(site)
    names = None if ref else _last_good(operation, choice)
    target, moving = names or (ref, ())

    def chosen(facts: Facts) -> tuple[Service, ...]:
        return moving or choice.services(site, choice.runtime_of(facts))

    def plan(site: Site, facts: Facts) -> Plan:
        runtime = choice.runtime_of(facts)
        return fabfile.plans.deploy.deploy(
            site, facts, target, chosen(facts), operator(), runtime=runtime, name="rollback"
        )

    def judge(site: Site, facts: Facts) -> list[Finding]:
        return _findings(site, facts, chosen(facts), choice.runtime_of(facts), plan)

    operation.apply(plan, judge=judge, also=survey.releases(site, target), confirm=confirm)


def _last_good(operation: Operation, choice: Choice) -> tuple[str, tuple[Service, ...]]:
    """The commit to go back to, and the services that would. Raises PreflightRefused where there is none."""
    site = operation.session.site
    facts = operation.session.survey(survey.releases(site))
    runtime = choice.runtime_of(facts)
    release, moving = fabfile.plans.deploy.last_good(site, facts, choice.services(site, runtime), runtime)
    if facts.releases.problem:
        raise PreflightRefused([str(Finding(facts.releases.problem, "inv releases shows what can be read"))])
    if release is None:
        text = f"there is no earlier good release of {runtime} to go back to"
        fix = "inv releases lists them; inv rollback --ref COMMIT goes to any commit, inv rollback --full to Docker"
        raise PreflightRefused([str(Finding(text, fix))])
    return release.commit, moving


def _findings(
    site: Site,
    facts: Facts,
    services: Sequence[Service],
    runtime: Runtime,
    plan: Callable[[Site, Facts], Plan],
    *,
    build: bool = True,
) -> list[Finding]:
    found = parts.may_be_deployed(site, facts, services, runtime, build=build)
    if any(not finding.warning for finding in found):
        return found  # without a commit, say, there is no plan to judge
    return found + preflight.edge_problems(plan(site, facts).steps, facts)


def _native_has_no_containers(runtime: Runtime) -> list[Finding]:
    text = "--force-recreate makes containers anew, and native has none"
    return [Finding(text, "leave it out")] if runtime == "native" else []


def push_current(operation: Operation) -> str:
    """Push the branch that is checked out here, and return its commit; with --dry nothing is pushed.

    Raises UsageError where there is no branch, PreflightRefused where this is not the app's repository or has changes,
    and Interrupted where the operator does not want it pushed.
    """
    session = operation.session
    app = session.site.app
    branch, commit = _here("branch", "--show-current"), _here("rev-parse", "HEAD")
    if not branch:
        raise UsageError("no branch is checked out here", next_step="git switch BRANCH, or name one: --ref BRANCH.")
    facts = session.survey(FactsRequest(checkout=app.checkout, user=app.user))
    findings = _not_the_app(facts, app.checkout) + _changed_here(session.site)
    remote = _remote(branch)
    if not remote:
        findings.append(Finding(f"no remote is known for the branch {branch}", "git push --set-upstream REMOTE HEAD"))
    if findings:
        raise PreflightRefused([str(finding) for finding in findings])
    merged = _here("config", "--get", f"branch.{branch}.merge", required=False) or f"refs/heads/{branch}"
    if operation.dry:
        session.console.say(f"{branch} would be pushed to {remote}")
        return commit
    operation.agree([f"{branch} will be pushed to {remote}, at {commit[:12]}, before its deploy is planned."], "Push?")
    _here("push", "--quiet", remote, f"HEAD:{merged}")
    session.console.progress(f"{branch} pushed to {remote}: {commit[:12]}")
    return commit


def branch_here() -> str:
    """The branch that is checked out where the command runs; empty where there is none."""
    done = _git("branch", "--show-current")
    return done.stdout.strip() if done.returncode == 0 else ""


def _not_the_app(facts: Facts, checkout: str) -> list[Finding]:
    """Whether the repository here is another one than the VPS has: nobody wants to push that."""
    head = facts.checkout.head if facts.checkout else ""
    if not head or _git("cat-file", "-e", f"{head}^{{commit}}").returncode == 0:
        return []
    text = f"the repository here does not have {head[:12]}, which {checkout} on the VPS is at"
    return [Finding(text, "go to your checkout of the app; if this is it: git fetch, and push what the VPS has")]


def _changed_here(site: Site) -> list[Finding]:
    changed = _here("status", "--porcelain", "--untracked-files=no").splitlines()
    if not changed:
        return []
    names = ", ".join(line[3:] for line in changed)
    return [Finding(f"the checkout here has changes that no commit has: {names}", "commit or stash them")]


def _remote(branch: str) -> str:
    """The remote that the branch is pushed to, as git decides it; empty where it is not told."""
    keys = (f"branch.{branch}.pushRemote", "remote.pushDefault", f"branch.{branch}.remote")
    said = [name for key in keys for name in [_here("config", "--get", key, required=False)] if name]
    names = _here("remote").split()
    return said[0] if said else "origin" if "origin" in names else names[0] if len(names) == 1 else ""


def _here(*words: str, required: bool = True) -> str:
    """What git says in the working directory of this command. Raises UsageError where it fails and is `required`."""
    done = _git(*words)
    if done.returncode and required:
        raise UsageError(
            f"git {' '.join(words)} failed here: {done.stderr.strip() or f'exit code {done.returncode}'}",
            next_step=f"--ref {CURRENT} is for a checkout of the app on this machine; --ref BRANCH needs none.",
        )
    return done.stdout.strip("\n") if done.returncode == 0 else ""  # a line of status may begin with a space


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *words], capture_output=True, text=True, timeout=_GIT_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(["git", *words], 1, "", str(error))


def show(console: Console, site: Site, facts: Facts) -> None:
    """A line for each release: the live ones, the good ones, the bad ones, those that are being built."""
    found = facts.releases
    if found.problem:
        console.warn(found.problem)
    live = {
        runtime: {
            service.name: fabfile.plans.deploy.runs(site, facts, service, runtime) for service in site.scope("full")
        }
        for runtime in RUNTIMES
    }
    rows = []
    for release in found.known:
        names = [name for name, commit in live[release.runtime].items() if commit == release.commit]
        owns = survey.owner(facts) == release.runtime
        rows.append(_row(release, names, len(site.services), owns))
        console.data(
            "release",
            commit=release.commit,
            runtime=release.runtime,
            state=release.state,
            live=names,
            since=release.since,
            who=release.who,
            ref=release.ref,
            subject=release.subject,
            plan=release.plan,
            reason=release.reason,
            built=release.built,
            bytes=release.size,
        )
    if not rows:
        console.say("There are no releases yet: the app runs from its checkout. inv deploy --ref main makes the first.")
        return
    checkout = [name for name, commit in live["native"].items() if not commit]
    console.table("", ("commit", "state", "since (UTC)", "by", "runtime", "size", "what"), rows)
    if checkout and survey.owner(facts) == "native":
        console.say(f"{', '.join(checkout)}: from the checkout, {site.app.checkout}")


def _row(release: Release, live: Sequence[str], services: int, owns: bool) -> tuple[str, ...]:
    word = "live" if owns else "selected"
    state = word if len(live) == services else f"{word} ({', '.join(live)})" if live else release.state
    if live and release.state != "good":
        state += f", {release.state}"
    since = (
        datetime.datetime.fromtimestamp(release.since, datetime.UTC).strftime("%Y-%m-%d %H:%M") if release.since else ""
    )
    size = f"{release.size / 1e6:.0f} MB" if release.size else "built" if release.built else "not built"
    what = release.reason or release.subject
    return release.commit[:12], state, since, release.who, release.runtime, size, what
