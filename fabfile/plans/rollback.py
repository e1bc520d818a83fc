"""The way back to Docker, and the way back to an earlier commit."""

from __future__ import annotations

from fabfile import workloads
from fabfile.inventory import Site
from fabfile.plan import Plan, Step, Undo
from fabfile.plans import app, data, docker, edge, infra, parking
from fabfile.plans.findings import Finding
from fabfile.plans.parts import as_healthy, watches
from fabfile.runner.actions.release import Command, Release
from fabfile.runner.facts import Facts
from fabfile.runner.probes import Healthy


def rollback(site: Site, facts: Facts) -> Plan:
    """Hand the whole app back to Docker."""
    lot = parking.lot(site, facts, leaving="native", to="docker")
    steps = (
        docker.rendered(site, facts) + docker.made(site, facts, "full")                          # felt by nobody
        + data.backup(site, facts, to="docker")
        + lot.open + lot.park                                                                    # the hold begins
        + app.stop(site, facts, "full") + infra.stop(site, facts)
        + data.hand_over(site, facts, to="docker")
        + docker.up(site, facts, "full")
        + lot.release                                                                            # the hold ends
        + edge.point(site, facts, to="docker") + lot.close
        + app.not_at_boot(site, facts, "full") + infra.not_at_boot(site, facts)
    )  # fmt: skip
    return Plan(
        "rollback",
        steps,
        confirm_within=site.timeouts.confirm,
        hold_limit=site.edge.hold_limit,
        watch=watches(site),
        workloads=workloads.everything(site, "native") + workloads.everything(site, "docker"),
        settings={"to": "docker"},
    )


def release(site: Site, facts: Facts, ref: str, scope: str) -> Plan:
    """Take the native app's code back to a commit, and restart the scope on it."""
    services = site.scope(scope)
    install = Command(site.app.checkout, (site.app.bun, *site.app.install_argv))
    builds = tuple(Command(s.directory, (site.app.bun, *s.build_argv)) for s in services if s.build_argv)
    running = workloads.of_services(site, "native", services)
    units = tuple(service.unit for service in services)
    limit = site.timeouts.health
    action = Release(site.app.checkout, site.app.user, ref, (install, *builds), units, site.timeouts.step)
    step = Step(
        "app: release", action, Undo(verify=as_healthy(facts, running), deadline=limit), (Healthy(running),), limit
    )
    return Plan(
        "rollback",
        (step,),
        watch=watches(site),
        workloads=workloads.everything(site, "native"),
        settings={"ref": ref, "scope": scope},
    )


def dirty(site: Site, facts: Facts) -> list[Finding]:
    """Changes in the checkout that moving it would lose."""
    if facts.checkout_error:
        return [Finding(f"{site.app.checkout}: {facts.checkout_error}", "make it a git checkout of the app's user")]
    changed = facts.checkout.changed if facts.checkout else ()
    # What this tool writes into the checkout is no change of somebody's.
    own = {site.runtimes.docker.file, site.runtimes.docker.overrides_file}
    foreign = [name for name in changed if f"{site.app.checkout}/{name}" not in own]
    if not foreign:
        return []
    return [Finding(f"the checkout has changes of its own: {', '.join(foreign)}", "commit or stash them on the VPS")]
