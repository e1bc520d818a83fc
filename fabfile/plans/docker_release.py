"""A release in Docker: images that are tagged with the commit, and containers that are made anew from them."""

from __future__ import annotations

from collections.abc import Sequence

from fabfile import workloads
from fabfile.inventory import Service, Site
from fabfile.plans import native_release
from fabfile.plans.plan import Step, Steps, Undo
from fabfile.runner.actions.compose import SwitchImage
from fabfile.runner.actions.releases.images import AdoptImages, BuildImages, PruneImages
from fabfile.runner.wire.facts import Facts

_REMOVE_SECONDS = 120.0  # for removing images, until it is tried no more


def build(site: Site, facts: Facts, services: Sequence[Service]) -> Steps:
    """Adopt the images that run already, and build those of the commit."""
    releases, commit = workloads.releases(site), facts.releases.commit
    names, limit = tuple(service.name for service in services), sum(service.build_timeout for service in services)
    there = site.app.installed and site.app.installed not in facts.lacking and site.app.bun not in facts.lacking
    command = native_release.install(site) if there else None  # an image may copy what the checkout has installed
    images = BuildImages(releases, workloads.project(site), commit, names, command, limit)
    return (
        Step("app: images adopted", AdoptImages(releases, names, commit), Undo(deadline=_REMOVE_SECONDS)),
        Step("app: images built", images, Undo(deadline=_REMOVE_SECONDS)),
    )


def switch(site: Site, facts: Facts, service: Service, anew: bool) -> SwitchImage:
    """Make a service's container anew from the release's image."""
    image = facts.compose[service.name].image if service.name in facts.compose else ""
    limit, project = site.timeouts.step, workloads.project(site)
    return SwitchImage(project, (service.name,), limit, workloads.releases(site), facts.releases.commit, image, anew)


def prune(site: Site, former: tuple[str, ...]) -> PruneImages:
    """Remove the images of old releases, but not of those that run until now."""
    return PruneImages(workloads.releases(site), site.releases.keep, former)
