"""A release in native: a directory of its own, and links that lead the services to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from fabfile import workloads
from fabfile.inventory import Service, Site
from fabfile.plans.plan import Step, Steps, Undo
from fabfile.plans.steps import stop_seconds, write_files
from fabfile.rendering import files
from fabfile.runner.actions.releases.build import BuildRelease, BuildService, Command
from fabfile.runner.actions.releases.register import PruneReleases
from fabfile.runner.actions.releases.switch import AdoptCheckout, SwitchService
from fabfile.runner.wire.facts import Facts

_REMOVE_SECONDS = 120.0  # for removing a directory with all dependencies, until it is tried no more


def build(site: Site, facts: Facts, services: Sequence[Service]) -> Steps:
    """Check the commit out, install its dependencies, and build the services that are built."""
    app, commit = site.app, facts.releases.commit
    installed = _inside(site, app.installed) if app.installed else ""
    made = BuildRelease(workloads.releases(site), commit, install(site), installed)
    return (
        Step("app: release made", made, Undo(deadline=_REMOVE_SECONDS)),
        *(Step(f"app: {p.name} built", _built(site, commit, p), Undo()) for p in services if p.build_argv),
    )


def link(site: Site, facts: Facts, services: Sequence[Service]) -> Steps:
    """Have the units run from links, which lead to the checkout as yet; they read that when they are restarted."""
    adopt = AdoptCheckout(workloads.releases(site), tuple(service.name for service in services), facts.releases.commit)
    units = write_files(files.release_units(site, services), reload=True, user=site.app.user)
    return (Step("app: links", adopt, Undo()), Step("app: units run from links", units, Undo()))


def switch(site: Site, facts: Facts, service: Service) -> SwitchService:
    """Lead a service's link to the release, and restart it."""
    limit = stop_seconds(site, (service,))
    return SwitchService(workloads.releases(site), facts.releases.commit, service.name, service.unit, limit)


def prune(site: Site, former: tuple[str, ...]) -> PruneReleases:
    """Remove old releases, but not those that run until now."""
    return PruneReleases(workloads.releases(site), site.releases.keep, former)


def install(site: Site) -> Command:
    """Install the app's dependencies where a commit is checked out."""
    return Command(".", (site.app.bun, *site.app.install_argv), site.app.install_timeout)


def _built(site: Site, commit: str, service: Service) -> BuildService:
    app = site.app
    command = Command(
        _inside(site, service.directory),
        (app.bun, *service.build_argv),
        service.build_timeout,
        app.env_file if service.build_env else "",
        service.build_env,
        workloads.project(site) if service.build_env else None,
    )
    leaves = _inside(site, service.built) if service.built else ""
    return BuildService(workloads.releases(site), commit, service.name, command, leaves)


def _inside(site: Site, path: str) -> str:
    """A path of the checkout, relative to it; empty for one elsewhere, which no release has."""
    inside = PurePosixPath(path).is_relative_to(site.app.checkout)
    return str(PurePosixPath(path).relative_to(site.app.checkout)) if inside else ""
