"""A release of the app: built beside what runs, then one service after the other."""

from __future__ import annotations

from collections.abc import Sequence

from fabfile import workloads
from fabfile.inventory import Service, Site
from fabfile.plans import decisive, docker_release, edge, native_release, parking
from fabfile.plans.plan import NothingToUndo, Plan, Step, Steps, Undo
from fabfile.plans.steps import as_healthy, awaited, stop_seconds, watches
from fabfile.runner.actions.probes import Healthy
from fabfile.runner.actions.releases.build import FetchCommit
from fabfile.runner.actions.releases.register import BeginRelease, FinishRelease
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.release import GOOD, Release
from fabfile.terms import Runtime

_FETCHED = "commits that were fetched change no file and no branch"
_PRUNED = "what was removed is built again from its commit"


def deploy(
    site: Site,
    facts: Facts,
    ref: str,
    services: Sequence[Service],
    who: str,
    *,
    runtime: Runtime = "native",
    name: str = "deploy",
    anew: bool = False,
) -> Plan:
    """Have the services run the commit that the survey found for `ref`, in the runtime that owns.

    As a "rollback" it notes besides that the releases that they ran until then are bad. With `anew` containers are
    made anew even of the image that they have.
    """
    commit, services = facts.releases.commit, in_order(services)
    moved = tuple(service for service in services if anew or runs(site, facts, service, runtime) != commit)
    served = tuple(service for service in moved if service.port)
    others = [service for service in services if service not in served]
    left = abandoned(site, facts, moved, runtime) if name == "rollback" else ()
    lot = parking.lot(site, facts, leaving=runtime, to=runtime, services=served)
    begin, build = _begin(site, facts, ref, services, who, runtime), _build(site, facts, services, runtime)
    steps = (
        begin + build                                                                            # no user impact
        + _switch(site, facts, others, runtime, anew)                                            # no public traffic
        + (lot.open + lot.park if served else ())                                                # the hold begins
        + _switch(site, facts, served, runtime, anew)
        + lot.release                                                                            # the hold ends
        + (edge.point(site, facts, to=runtime) if lot.services else ()) + lot.close
        + _finish(site, facts, services, who, left, runtime)
    )  # fmt: skip
    return Plan(
        name,
        steps,
        confirm_within=site.timeouts.confirm,
        hold_limit=site.edge.hold_limit,
        watch=watches(site, facts),
        workloads=workloads.everything(site, runtime),
        settings={
            "ref": ref,
            "commit": commit,
            "runtime": runtime,
            "pieces": ", ".join(service.name for service in services),
            **decisive.of_restarts(moved),
        },
    )


def in_order(services: Sequence[Service]) -> tuple[Service, ...]:
    """Services in the order in which they depend on each other: workers, then the API, then web."""
    rank = ("worker", "api", "web")
    return tuple(sorted(services, key=lambda service: rank.index(service.kind)))


def runs(site: Site, facts: Facts, service: Service, runtime: Runtime = "native") -> str:
    """The commit of the release that a service runs from; empty where it runs from none."""
    return facts.releases.runs(workloads.releases(site), runtime, service.name)


def last_good(
    site: Site, facts: Facts, services: Sequence[Service], runtime: Runtime = "native"
) -> tuple[Release | None, tuple[Service, ...]]:
    """The release to go back to, and the services among these that would: those of the release that came last.

    It is the latest other good one that all of them have run on.
    """
    known = [release for release in facts.releases.known if release.runtime == runtime]
    live = {service.name: runs(site, facts, service, runtime) for service in services}
    last = next((release.commit for release in known if release.commit in live.values()), "")
    moving = tuple(service for service in services if last and live[service.name] == last)
    names = {service.name for service in moving}
    good = [r for r in known if r.state == GOOD and r.commit != last and names <= set(r.services)]
    return (good[0] if moving and good else None), moving


def abandoned(site: Site, facts: Facts, moved: Sequence[Service], runtime: Runtime = "native") -> tuple[str, ...]:
    """The commits that nothing runs any more once these services have moved to another."""
    before = {service.name: runs(site, facts, service, runtime) for service in site.scope("full")}
    names = {service.name for service in moved}
    stay = {commit for name, commit in before.items() if name not in names}
    return tuple(sorted({before[name] for name in names} - stay - {""}))


def built_files(site: Site) -> tuple[str, ...]:
    """Files tracked by git that builds write anew, relative to the checkout: no change of somebody's."""
    return tuple(dict.fromkeys(path for service in site.scope("full") for path in service.build_rewrites))


def _begin(site: Site, facts: Facts, ref: str, services: Sequence[Service], who: str, runtime: Runtime) -> Steps:
    releases, commit = workloads.releases(site), facts.releases.commit
    names = tuple(service.name for service in services)
    return (
        Step("app: commit fetched", FetchCommit(releases, commit), NothingToUndo(_FETCHED)),
        Step("app: release begun", BeginRelease(releases, runtime, commit, ref, who, names), Undo()),
    )


def _build(site: Site, facts: Facts, services: Sequence[Service], runtime: Runtime) -> Steps:
    if runtime == "docker":
        return docker_release.build(site, facts, services)
    return native_release.build(site, facts, services) + native_release.link(site, facts, services)


def _switch(site: Site, facts: Facts, services: Sequence[Service], runtime: Runtime, anew: bool) -> Steps:
    return tuple(_switch_one(site, facts, service, runtime, anew) for service in services)


def _switch_one(site: Site, facts: Facts, service: Service, runtime: Runtime, anew: bool) -> Step:
    group = workloads.of_services(site, runtime, (service,))
    native, docker = native_release.switch(site, facts, service), docker_release.switch(site, facts, service, anew)
    action = native if runtime == "native" else docker
    expected = awaited(site, facts, group)
    return Step(
        f"app: {service.name} to {facts.releases.commit[:12]}",
        action,
        Undo(verify=as_healthy(facts, group), deadline=max(stop_seconds(site, (service,)), site.timeouts.health)),
        verify=(Healthy(expected),) if expected else (),
        deadline=site.timeouts.health,
    )


def _finish(
    site: Site, facts: Facts, services: Sequence[Service], who: str, left: Sequence[str], runtime: Runtime
) -> Steps:
    releases, commit = workloads.releases(site), facts.releases.commit
    names = tuple(service.name for service in services)
    # What runs until now must stay: if nobody confirms the plan, its undo switches back to it.
    former = tuple(sorted({runs(site, facts, service, runtime) for service in site.scope("full")} - {""}))
    finish = FinishRelease(releases, runtime, commit, names, tuple(left), who)
    prune = native_release.prune(site, former) if runtime == "native" else docker_release.prune(site, former)
    return (
        Step("app: release good", finish, Undo()),
        Step("app: old releases removed", prune, NothingToUndo(_PRUNED)),
    )
