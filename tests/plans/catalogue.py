"""Every plan that a task can make, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from fabfile.inventory import RUNTIMES, SCOPES, Site
from fabfile.plans import app, cutover, deploy, docker, edge, firewall, infra, rollback
from fabfile.plans.plan import Plan
from fabfile.runner.wire.edge import Maintenance
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime, Scope
from tests.support.facts import BACKUP

Build = Callable[[Site, Facts], Plan]


def _plan(name: str, steps: Callable[..., Any], *more: Any) -> Build:
    return lambda site, facts: Plan(name, steps(site, facts, *more))


def _bare(site: Site) -> Site:
    """A site that runs the app's own Compose file as it is."""
    docker = site.runtimes.docker.model_copy(update={"overrides": {}})
    return site.model_copy(update={"runtimes": site.runtimes.model_copy(update={"docker": docker})})


def _scoped(build: Callable[..., Plan], scope: Scope) -> Build:
    return lambda site, facts: build(site, facts, scope)


def _named() -> Iterator[tuple[str, Build]]:
    yield "infra.bootstrap", cutover.bootstrap
    yield "rollback --full", rollback.rollback
    yield "infra.install", _plan("infra.install", infra.install)
    yield "infra.start", _plan("infra.start", infra.start)
    yield "infra.stop", _plan("infra.stop", infra.stop)
    yield "infra at boot", _plan("infra.start", infra.enable)
    yield "infra ports freed", _plan("infra.start", infra.free_ports)
    yield "infra not at boot", _plan("infra.stop", infra.disable)
    yield "docker.render", _plan("docker.render", docker.render)
    yield (
        "docker.render without overrides",
        lambda site, facts: Plan("docker.render", docker.render(_bare(site), facts)),
    )
    yield "firewall.allow", _plan("firewall.allow", firewall.allow)
    yield "firewall.park", _plan("firewall.allow", firewall.park)
    yield "firewall.close", _plan("firewall.close", firewall.close)
    for scope in SCOPES:
        yield f"cutover {scope}", _scoped(cutover.cutover, scope)
        for runtime in RUNTIMES:
            yield f"deploy {scope} in {runtime}", _deployed(scope, "deploy", runtime)
            yield f"rollback {scope} in {runtime}", _deployed(scope, "rollback", runtime)
        for verb in (app.start, app.stop, app.restart):
            yield f"app.{verb.__name__} {scope}", _plan(f"app.{verb.__name__}", verb, scope)
        for verb in (app.enable, app.disable):
            yield f"app.{verb.__name__} {scope}", _plan("app.start", verb, scope)
        for verb in (docker.create_containers, docker.up, docker.stop):
            yield f"docker.{verb.__name__} {scope}", _plan(f"docker.{verb.__name__}", verb, scope)
    yield "app.install none", _install("none")
    for scope in SCOPES:
        yield f"app.install {scope}", _install(scope)
    for runtime in RUNTIMES:
        yield f"npm.switch {runtime}", _plan("npm.switch", edge.point, runtime)
    for name, words in (("on", Maintenance(1.0, 2.0, "soon back")), ("off", None)):
        yield f"edge.maintenance {name}", _plan("edge.maintenance", edge.maintain, words)
    yield "npm.backup", _plan("npm.backup", edge.keep)
    yield "npm.restore", _plan("npm.restore", edge.restore, BACKUP)


def _install(scope: Scope | Literal["none"]) -> Build:
    return lambda site, facts: Plan("app.install", app.install(site, facts, scope))


def _deployed(scope: Scope, name: str, runtime: Runtime) -> Build:
    return lambda site, facts: deploy.deploy(
        site, facts, "main", site.scope(scope), "ann@desk", runtime=runtime, name=name
    )


PLANS = dict(_named())
