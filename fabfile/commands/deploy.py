"""Deploys a commit of the app, goes back to an earlier release, and lists releases."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import fabfile.plans.deploy
from fabfile import survey
from fabfile.checks import parts, preflight
from fabfile.checks.result import Finding
from fabfile.commands.apply import Operation
from fabfile.console import Console
from fabfile.errors import PreflightRefused, UsageError
from fabfile.inventory import Service, Site
from fabfile.plans.plan import operator
from fabfile.runner.wire.facts import Facts, FactsRequest
from fabfile.runner.wire.release import Release
from fabfile.terms import Scope

CURRENT = "current"
"""The ref that stands for the branch that is checked out where the command runs."""

_GIT_SECONDS = 120.0  # for one command of git on this machine


@dataclass(frozen=True)
class Choice:
    """Which services an operator chose, by name or by scope."""

    scope: Scope = "full"
    pieces: str = ""

    def services(self, site: Site) -> tuple[Service, ...]:
        """The services. Raises UsageError for a name that is none."""
        if not self.pieces:
            return site.scope(self.scope)
        if self.scope != "full":
            raise UsageError("--scope and --pieces exclude each other", next_step="Leave one of them out.")
        names = [name.strip() for name in self.pieces.split(",") if name.strip()]
        for name in names or [self.pieces]:
            if name not in site.services:
                raise UsageError.unknown("piece", name, site.services)
        return tuple(service for service in site.services.values() if service.name in names)


def deploy(operation: Operation, ref: str, choice: Choice, *, build: bool = True, confirm: bool = True) -> None:
    """Have the chosen services run a branch, tag or commit. Raises CutoverError."""
    site = operation.session.site
    services = choice.services(site)
    target = push_current(operation) if ref == CURRENT else ref
    operation.apply(
        lambda site, facts: fabfile.plans.deploy.deploy(site, facts, ref, services, operator()),
        judge=lambda site, facts: _findings(site, facts, services, build=build),
        also=survey.releases(site, target),
        confirm=confirm,
    )


def go_back(operation: Operation, ref: str, choice: Choice, *, confirm: bool = True) -> None:
    """Have the chosen services run the last good release again, or a ref's. Raises CutoverError."""
    site = operation.session.site
    services = choice.services(site)
    if not ref:
        ref, services = _last_good(operation, services)
    operation.apply(
        lambda site, facts: fabfile.plans.deploy.deploy(site, facts, ref, services, operator(), name="rollback"),
        judge=lambda site, facts: _findings(site, facts, services),
        also=survey.releases(site, ref),
        confirm=confirm,
    )


def _last_good(operation: Operation, services: Sequence[Service]) -> tuple[str, tuple[Service, ...]]:
    """The commit to go back to, and the services that would. Raises PreflightRefused where there is none."""
    site = operation.session.site
    facts = operation.session.survey(survey.releases(site))
    release, moving = fabfile.plans.deploy.last_good(site, facts, services)
    if facts.releases.problem:
        raise PreflightRefused([str(Finding(facts.releases.problem, "inv releases shows what can be read"))])
    if release is None:
        text = "there is no earlier good release to go back to"
        fix = "inv releases lists them; inv rollback --ref COMMIT goes to any commit, inv rollback --full to Docker"
        raise PreflightRefused([str(Finding(text, fix))])
    return release.commit, moving


def _findings(site: Site, facts: Facts, services: Sequence[Service], *, build: bool = True) -> list[Finding]:
    found = parts.may_be_deployed(site, facts, services, build=build)
    if any(not finding.warning for finding in found):
        return found  # without a commit, say, there is no plan to judge
    return found + preflight.edge_problems(fabfile.plans.deploy.deploy(site, facts, "", services, "").steps, facts)


def push_current(operation: Operation) -> str:
    """Push the branch that is checked out here, and return its commit; with --dry nothing is pushed.

    Raises UsageError where there is no branch, PreflightRefused where this is not the app's repository or has changes.
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
    _here("push", "--quiet", remote, f"HEAD:{merged}")
    session.console.progress(f"{branch} pushed to {remote}: {commit[:12]}")
    return commit


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
    live = {service.name: fabfile.plans.deploy.runs(site, facts, service) for service in site.scope("full")}
    rows = []
    for release in found.known:
        names = [name for name, commit in live.items() if commit == release.commit]
        rows.append(_row(release, names, len(live)))
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
    checkout = [name for name, commit in live.items() if not commit]
    console.table("", ("commit", "state", "since (UTC)", "by", "runtime", "size", "what"), rows)
    if checkout:
        console.say(f"{', '.join(checkout)}: from the checkout, {site.app.checkout}")


def _row(release: Release, live: Sequence[str], services: int) -> tuple[str, ...]:
    state = "live" if len(live) == services else f"live ({', '.join(live)})" if live else release.state
    if live and release.state != "good":
        state += f", {release.state}"
    since = (
        datetime.datetime.fromtimestamp(release.since, datetime.UTC).strftime("%Y-%m-%d %H:%M") if release.since else ""
    )
    size = f"{release.size / 1e6:.0f} MB" if release.size else "not built"
    what = release.reason or release.subject
    return release.commit[:12], state, since, release.who, release.runtime, size, what
