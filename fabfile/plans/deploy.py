"""A release of the native app: built beside what runs, then one piece after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from fabfile import workloads
from fabfile.inventory import Service, Site
from fabfile.plans import edge, parking
from fabfile.plans.plan import NothingToUndo, Plan, Step, Steps, Undo
from fabfile.plans.steps import as_healthy, awaited, stop_seconds, watches, write_files
from fabfile.rendering import files
from fabfile.runner.actions.probes import Healthy
from fabfile.runner.actions.releases.build import BuildRelease, BuildService, Command, FetchCommit
from fabfile.runner.actions.releases.register import BeginRelease, FinishRelease, PruneReleases
from fabfile.runner.actions.releases.switch import AdoptCheckout, SwitchService
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.release import GOOD, Release

_FETCHED = "commits that were fetched change no file and no branch"
_PRUNED = "what was removed is built again from its commit"
_REMOVE_SECONDS = 120.0  # for removing a directory with all dependencies, until it is tried no more


def deploy(site: Site, facts: Facts, ref: str, services: Sequence[Service], who: str, *, name: str = "deploy") -> Plan:
    """Have the services run the commit that the survey found for `ref`.

    As a "rollback" it notes besides that the releases that they ran until then are bad.
    """
    commit = facts.releases.commit
    pieces = in_order(services)
    moved = tuple(service for service in pieces if runs(site, facts, service) != commit)
    served = tuple(service for service in moved if service.port)
    left = abandoned(site, facts, moved) if name == "rollback" else ()
    lot = parking.lot(site, facts, leaving="native", to="native", services=served)
    steps = (
        _build(site, commit, ref, pieces, who) + _link(site, commit, pieces)                     # no user impact
        + _switch(site, facts, commit, [piece for piece in pieces if piece not in served])       # no public traffic
        + lot.open + lot.park                                                                    # the hold begins
        + _switch(site, facts, commit, served)
        + lot.release                                                                            # the hold ends
        + (edge.point(site, facts, to="native") if lot.services else ()) + lot.close
        + _finish(site, facts, pieces, who, left)
    )  # fmt: skip
    return Plan(
        name,
        steps,
        confirm_within=site.timeouts.confirm,
        hold_limit=site.edge.hold_limit,
        watch=watches(site, facts),
        workloads=workloads.everything(site, "native"),
        settings={
            "ref": ref,
            "commit": commit,
            "pieces": ", ".join(piece.name for piece in pieces),
        },
    )


def abandoned(site: Site, facts: Facts, moved: Sequence[Service]) -> tuple[str, ...]:
    """The commits that nothing runs any more once these services have moved to another."""
    before = {service.name: runs(site, facts, service) for service in site.scope("full")}
    names = {service.name for service in moved}
    stay = {commit for name, commit in before.items() if name not in names}
    return tuple(sorted({before[name] for name in names} - stay - {""}))


def built_files(site: Site) -> tuple[str, ...]:
    """Files tracked by git that builds write anew, relative to the checkout: no change of somebody's."""
    return tuple(dict.fromkeys(path for service in site.scope("full") for path in service.build_rewrites))


def in_order(services: Sequence[Service]) -> tuple[Service, ...]:
    """Services in the order in which they depend on each other: workers, then the API, then web."""
    rank = ("worker", "api", "web")
    return tuple(sorted(services, key=lambda service: rank.index(service.kind)))


def runs(site: Site, facts: Facts, service: Service) -> str:
    """The commit of the release that a service runs from; empty where it runs from the checkout."""
    led_to = PurePosixPath(facts.releases.live.get(service.name, site.app.checkout))
    return led_to.name if str(led_to.parent) == site.releases.folder else ""


def last_good(site: Site, facts: Facts, services: Sequence[Service]) -> tuple[Release | None, tuple[Service, ...]]:
    """The release to go back to, and the services among these that would: those of the release that came last.

    It is the latest other good one that all of them have run on.
    """
    known = [release for release in facts.releases.known if release.runtime == "native"]
    live = {service.name: runs(site, facts, service) for service in services}
    last = next((release.commit for release in known if release.commit in live.values()), "")
    moving = tuple(service for service in services if last and live[service.name] == last)
    names = {service.name for service in moving}
    good = [r for r in known if r.state == GOOD and r.commit != last and names <= set(r.services)]
    return (good[0] if moving and good else None), moving


def _build(site: Site, commit: str, ref: str, pieces: Sequence[Service], who: str) -> Steps:
    app, releases = site.app, workloads.releases(site)
    install = Command(".", (app.bun, *app.install_argv), app.install_timeout)
    installed = _inside(site, app.installed) if app.installed else ""
    undo = Undo(deadline=_REMOVE_SECONDS)
    names = tuple(piece.name for piece in pieces)
    return (
        Step("app: commit fetched", FetchCommit(releases, commit), NothingToUndo(_FETCHED)),
        Step("app: release begun", BeginRelease(releases, "native", commit, ref, who, names), Undo()),
        Step("app: release made", BuildRelease(releases, commit, install, installed), undo),
        *(
            Step(f"app: {piece.name} built", _built(site, commit, piece), Undo())
            for piece in pieces
            if piece.build_argv
        ),
    )


def _built(site: Site, commit: str, piece: Service) -> BuildService:
    app = site.app
    command = Command(
        _inside(site, piece.directory),
        (app.bun, *piece.build_argv),
        piece.build_timeout,
        app.env_file if piece.build_env else "",
        piece.build_env,
        workloads.project(site) if piece.build_env else None,
    )
    leaves = _inside(site, piece.built) if piece.built else ""
    return BuildService(workloads.releases(site), commit, piece.name, command, leaves)


def _link(site: Site, commit: str, pieces: Sequence[Service]) -> Steps:
    """Have the units run from links, which lead to the checkout as yet; they read that when they are restarted."""
    adopt = AdoptCheckout(workloads.releases(site), tuple(piece.name for piece in pieces), commit)
    units = write_files(files.release_units(site, pieces), reload=True, user=site.app.user)
    return (Step("app: links", adopt, Undo()), Step("app: units run from links", units, Undo()))


def _switch(site: Site, facts: Facts, commit: str, pieces: Sequence[Service]) -> Steps:
    return tuple(_switch_one(site, facts, commit, piece) for piece in pieces)


def _switch_one(site: Site, facts: Facts, commit: str, piece: Service) -> Step:
    group = workloads.of_services(site, "native", (piece,))
    limit = stop_seconds(site, (piece,))
    expected = awaited(site, facts, group)
    return Step(
        f"app: {piece.name} to {commit[:12]}",
        SwitchService(workloads.releases(site), commit, piece.name, piece.unit, limit),
        Undo(verify=as_healthy(facts, group), deadline=max(limit, site.timeouts.health)),
        verify=(Healthy(expected),) if expected else (),
        deadline=site.timeouts.health,
    )


def _finish(site: Site, facts: Facts, pieces: Sequence[Service], who: str, left: Sequence[str]) -> Steps:
    releases, commit = workloads.releases(site), facts.releases.commit
    names = tuple(piece.name for piece in pieces)
    # What runs until now must stay: if nobody confirms the plan, its undo switches back to it.
    former = tuple(sorted({runs(site, facts, service) for service in site.scope("full")} - {""}))
    finish = FinishRelease(releases, "native", commit, names, tuple(left), who)
    prune = PruneReleases(releases, site.releases.keep, former)
    return (
        Step("app: release good", finish, Undo()),
        Step("app: old releases removed", prune, NothingToUndo(_PRUNED)),
    )


def _inside(site: Site, path: str) -> str:
    """A path of the checkout, relative to it; empty for one elsewhere, which no release has."""
    inside = PurePosixPath(path).is_relative_to(site.app.checkout)
    return str(PurePosixPath(path).relative_to(site.app.checkout)) if inside else ""
