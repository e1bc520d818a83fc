"""What native units cannot start without: looked for before anything is stopped."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from fabfile import workloads
from fabfile.checks import environment
from fabfile.checks.result import Finding
from fabfile.inventory import Service, Site
from fabfile.rendering import files
from fabfile.runner.wire.facts import Facts, Unit
from fabfile.terms import Scope

_UNUSABLE = {  # systemd's LoadState → what it means
    "not-found": "not installed",
    "masked": "masked, so that nobody can start them",
    "bad-setting": "refused by systemd, for a line of theirs",
    "error": "not to be read by systemd",
}


def of_services(site: Site, facts: Facts, scope: Scope) -> list[Finding]:
    """What the scope's units, as they are installed, would not start for."""
    services = site.scope(scope)
    found = of_units(site, facts, services) + before_installing(site, facts, services)
    return list(dict.fromkeys(found))  # what both lack is said once


def of_units(site: Site, facts: Facts, services: Iterable[Service]) -> list[Finding]:
    """The same, whatever code they run."""
    native = site.runtimes.native
    result = _unusable((facts.unit(s.unit, site.app.user) for s in services), "inv app.install")
    fix = "inv app.install; the app's user must be able to read it"
    for path in (native.settings_file, native.overrides_file):
        result += _lacking(facts, path, "no service would start", fix)
    return result + environment.out_of_date(site, facts) + _of_bun(site, facts)


def before_installing(site: Site, facts: Facts, services: Iterable[Service]) -> list[Finding]:
    """What the services would not start for, but for what installing the units writes."""
    result = _of_bun(site, facts)
    for service in services:
        released = service.name in facts.releases.live
        result += _of_release(site, facts, service) if released else _of_checkout(site, facts, service)
    return list(dict.fromkeys(result))  # what several lack is said once


def _of_bun(site: Site, facts: Facts) -> list[Finding]:
    return [
        *_lacking(facts, site.app.bun, "no service would start", "install it there, or correct app.bun"),
        *environment.readable(site, facts),
    ]


def _of_release(site: Site, facts: Facts, service: Service) -> list[Finding]:
    """What a service lacks in the release that it runs from."""
    needed = (site.app.installed, service.directory, *workloads.sources(service), service.built)
    paths = [files.released(site, service, path) for path in needed if path]
    lacking = [facts.lacking[path] for path in paths if path in facts.lacking][:1]
    fix = f"inv deploy --ref COMMIT --pieces {service.name}, with a commit that `inv releases` does not say is live"
    return [Finding(f"{text}: {service.name} would not start from its release", fix) for text in lacking]


def _of_checkout(site: Site, facts: Facts, service: Service) -> list[Finding]:
    """What a service lacks that runs from the checkout."""
    app, result = site.app, []
    if app.installed:
        fix = _as_user(site, app.checkout, app.install_argv)
        result += _lacking(facts, app.installed, "the app's dependencies are not installed for native services", fix)
    fix, effect = f"correct services.{service.name}, or bring {app.checkout} in order", f"{service.name} would not"
    missing = _lacking(facts, service.directory, f"{effect} start", fix)
    if not missing:
        sources = workloads.sources(service)
        missing = [finding for path in sources for finding in _lacking(facts, path, f"{effect} start", fix)]
    if service.built and not missing:
        fix = _as_user(site, service.directory, (f"--env-file={app.env_file}", *service.build_argv))
        missing = _lacking(facts, service.built, f"{service.name} is not built for native, and {effect} start", fix)
    return result + missing


def _as_user(site: Site, folder: str, argv: Iterable[str]) -> str:
    """How somebody has Bun do what the inventory says, by hand."""
    return f"on the VPS, as {site.app.user}: cd {folder} && {shlex.join([site.app.bun, *argv])}"


def of_servers(site: Site, facts: Facts) -> list[Finding]:
    """What the servers' units, as they are installed, would not start for."""
    result = _unusable((facts.unit(server.unit) for server in site.servers), "inv infra.install")
    for server in site.servers:
        result += _lacking(facts, server.binary, f"{server.name} would not start", "install its package (apt-get …)")
    for server in (site.infra.redis, site.infra.clickhouse):
        result += _lacking(facts, server.config, f"{server.name} would not start", "inv infra.install, or its package")
    return result


def _unusable(units: Iterable[Unit | None], install: str) -> list[Finding]:
    unusable = [unit for unit in units if unit and unit.load in _UNUSABLE]
    kinds = {load: [unit.name for unit in unusable if unit.load == load] for load in _UNUSABLE}
    return [
        Finding(f"{_UNUSABLE[load]}: {', '.join(names)}", "systemctl unmask them" if load == "masked" else install)
        for load, names in kinds.items()
        if names
    ]


def _lacking(facts: Facts, path: str, effect: str, fix: str) -> list[Finding]:
    """A finding where something that is needed can't be used."""
    return [Finding(f"{facts.lacking[path]}: {effect}", fix)] if path in facts.lacking else []
