"""What a reboot of the VPS would bring up, and whether that is what the owner needs."""

from __future__ import annotations

from collections.abc import Mapping

from fabfile import survey, workloads
from fabfile.checks.result import Finding
from fabfile.inventory import RUNTIMES, Site
from fabfile.rendering import files
from fabfile.runner.wire.facts import Container, Facts, Workload
from fabfile.terms import Owner, Runtime

Coming = Mapping[Runtime, tuple[str, ...]]  # runtime → names

_ALWAYS = "always"
_RESTART_FIX = "in the Compose file: restart: unless-stopped; then docker compose up -d"


def after_reboot(site: Site, facts: Facts) -> dict[Runtime, tuple[str, ...]]:
    """Runtime → the servers and services that a reboot would bring up; a runtime that nothing is known of is left out.

    A native unit comes up where it is enabled and its condition lets it: the owner file says native, or the unit that
    is installed has no such condition. A container comes up as its restart policy says: `always` in any case,
    `unless-stopped` where nobody stopped it.
    """
    readable = {"native": bool(facts.units or facts.user_units), "docker": not facts.docker_error}
    return {
        runtime: tuple(w.name for w in workloads.everything(site, runtime) if _comes_up(site, facts, w))
        for runtime in RUNTIMES
        if readable[runtime]
    }


def findings(site: Site, facts: Facts) -> list[Finding]:
    """Warnings: what a reboot would not bring up of the owner, or would bring up beside it; each with its fix."""
    owner, coming = survey.owner(facts), after_reboot(site, facts)
    if facts.owner_error or not owner:
        return []
    absent = _missing_native(site, facts, coming) if owner == "native" else _missing_docker(site, facts, coming)
    return absent + _beside(site, facts, owner, coming)


def always_restarting(facts: Facts) -> list[Finding]:
    """Containers that Docker starts at every boot, stopped or not: they would run beside a native owner."""
    names = sorted({container.service for container in facts.all_containers if container.policy == _ALWAYS})
    if not names:
        return []
    text = f"Docker starts at every boot, stopped or not (restart: always): {', '.join(names)}"
    return [Finding(text, _RESTART_FIX)]


def _comes_up(site: Site, facts: Facts, workload: Workload) -> bool:
    if workload.runtime == "docker":
        container = facts.containers.get(workload.name)
        return container is not None and not _daemon_off(facts) and any(map(_comes_back, container.of_service))
    unit = facts.unit(workload.unit, workload.user)
    if unit is None or unit.enabled != "enabled":
        return False
    return facts.owner == "native" or not _conditional(site, facts, workload)


def _conditional(site: Site, facts: Facts, workload: Workload) -> bool:
    """Whether the unit that is installed starts for the owner only; the original scripts' units start for anybody."""
    folder = site.app.unit_directory if workload.user else str(files.SYSTEM_UNITS)
    installed = facts.files.get(f"{folder}/{workload.unit}")
    return installed is None or installed.text is None or site.app.owner_file in installed.text


def _comes_back(container: Container) -> bool:
    """Docker's rule. A container that was made and never started stays as it is."""
    if container.policy == _ALWAYS:
        return container.state != "created"
    return container.policy in ("unless-stopped", "on-failure") and container.alive


def _restarts_always(container: Container) -> bool:
    return any(one.policy == _ALWAYS for one in container.of_service)


def _daemon_off(facts: Facts) -> bool:
    daemon = facts.units.get(survey.DAEMON)
    return daemon is not None and daemon.load == "loaded" and daemon.enabled == "disabled"


def _missing_native(site: Site, facts: Facts, coming: Coming) -> list[Finding]:
    servers = [s.name for s in site.servers if s.name not in coming.get("native", ())]
    # Without a user manager nothing is known of its units, which is a warning of its own.
    services = [] if facts.user_manager else [s.name for s in site.scope("full")]
    absent = [name for name in services if name not in coming.get("native", ())]
    return [
        _warning(f"native owns, and a reboot would not bring up {', '.join(names)}: not enabled at boot", fix)
        for names, fix in ((servers, "inv infra.start"), (absent, "inv app.start"))
        if names and "native" in coming
    ]


def _missing_docker(site: Site, facts: Facts, coming: Coming) -> list[Finding]:
    names = [w.name for w in workloads.everything(site, "docker") if w.name not in coming.get("docker", ())]
    if not names or "docker" not in coming:
        return []
    if _daemon_off(facts):
        why, fix = f"{survey.DAEMON} is not enabled", f"on the VPS: sudo systemctl enable {survey.DAEMON}"
        return [_warning(f"docker owns, and a reboot would bring up no container: {why}", fix)]
    loose = [name for name in names if (container := facts.containers.get(name)) and container.alive]
    stopped = [name for name in names if name not in loose]
    return [
        _warning(f"docker owns, and a reboot would not bring up {', '.join(group)}: {why}", fix)
        for group, why, fix in (
            (loose, "their restart policy keeps them down", _RESTART_FIX),
            (stopped, "stopped, or there is no container", "inv docker.up"),
        )
        if group
    ]


def _beside(site: Site, facts: Facts, owner: Owner, coming: Coming) -> list[Finding]:
    """What would come up of the one that does not own."""
    other = next(runtime for runtime in RUNTIMES if runtime != owner)
    names = coming.get(other, ())
    always = [name for name in names if other == "docker" and _restarts_always(facts.containers[name])]
    rest = [name for name in names if name not in always]
    stop = "inv docker.stop" if other == "docker" else "inv infra.install and inv app.install: units for the owner only"
    return [
        _warning(f"{owner} owns, and a reboot would bring up {other}'s {', '.join(group)} beside it", fix)
        for group, fix in ((always, _RESTART_FIX), (rest, stop))
        if group
    ]


def _warning(text: str, fix: str) -> Finding:
    return Finding(text, fix, warning=True)
