"""The way back to Docker, and the way back to an earlier commit."""

from __future__ import annotations

from fabfile import workloads
from fabfile.inventory import Site
from fabfile.plans import app, data, docker, edge, infra, parking
from fabfile.plans.plan import Plan, Step, Undo
from fabfile.plans.steps import as_healthy, awaited, stop_seconds, watches
from fabfile.runner.actions.probes import Healthy
from fabfile.runner.actions.release import Command, Release
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Scope


def rollback(site: Site, facts: Facts) -> Plan:
    """Hand the whole app back to Docker."""
    lot = parking.lot(site, facts, leaving="native", to="docker")
    steps = (
        docker.render(site, facts) + docker.create_containers(site, facts, "full")               # no user impact
        + data.backup(site, facts, to="docker")
        + lot.open + lot.park                                                                    # the hold begins
        + app.stop(site, facts, "full") + data.count(site, facts, to="docker") + infra.stop(site, facts, to="docker")
        + data.unseal(site, facts)
        + data.transfer_ownership(site, facts, to="docker") + data.keep(site, facts, to="docker")
        + docker.up_servers(site, facts, unproven=data.unproven(facts, "docker"))
        + data.compare(site, facts, to="docker")
        + docker.up_app(site, facts, "full")
        + lot.release                                                                            # the hold ends
        + edge.point(site, facts, to="docker") + lot.close + data.discard(site, facts, to="docker")
        + app.disable(site, facts, "full") + infra.disable(site, facts)
    )  # fmt: skip
    return Plan(
        "rollback",
        steps,
        confirm_within=site.timeouts.confirm,
        hold_limit=site.edge.hold_limit,
        watch=watches(site, facts),
        workloads=workloads.everything(site, "native") + workloads.everything(site, "docker"),
        settings={"to": "docker"},
    )


def release(site: Site, facts: Facts, ref: str, scope: Scope) -> Plan:
    """Take the native app's code back to a commit, and restart the scope on it."""
    services = site.scope(scope)
    app = site.app
    install = Command(app.checkout, (app.bun, *app.install_argv), app.install_timeout)
    builds = tuple(
        Command(
            s.directory,
            (app.bun, *s.build_argv),
            s.build_timeout,
            app.env_file if s.build_env else "",
            s.build_env,
            workloads.project(site) if s.build_env else None,
        )
        for s in services
        if s.build_argv
    )
    running = workloads.of_services(site, "native", services)
    units = tuple(service.unit for service in services)
    limit = site.timeouts.health
    action = Release(
        app.checkout, app.user, ref, (install, *builds), units, stop_seconds(site, services), built_files(site)
    )
    step = Step(
        "app: release",
        action,
        Undo(verify=as_healthy(facts, running), deadline=limit),
        (Healthy(awaited(site, facts, running)),),
        limit,
    )
    return Plan(
        "rollback",
        (step,),
        watch=watches(site, facts),
        workloads=workloads.everything(site, "native"),
        settings={"ref": ref, "scope": scope},
    )


def built_files(site: Site) -> tuple[str, ...]:
    """Files tracked by git that builds write anew, relative to the checkout: no change of somebody's."""
    return tuple(dict.fromkeys(path for service in site.scope("full") for path in service.build_rewrites))
