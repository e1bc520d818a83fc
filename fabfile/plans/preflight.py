"""Everything that must be right before anything is stopped, all findings at once."""

from __future__ import annotations

from dataclasses import dataclass

from fabfile import survey
from fabfile.inventory import BRIDGE, Site
from fabfile.plans import edge, infra, provider
from fabfile.runner.facts import Facts, Listener
from fabfile.runner.npm import PointEdge

_DISK = 512 * 1024 * 1024  # bytes that journals, backups and the servers' own growth may need


@dataclass(frozen=True)
class Finding:
    """Something preflight found: what it is and what to do about it; a warning does not refuse."""

    text: str
    fix: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.text}\n→ {self.fix}"


def findings(site: Site, facts: Facts, to: str) -> list[Finding]:
    """What stands against handing the app to `to`. The survey must have asked for versions."""
    found = runner(facts) + _environment(site, facts) + edge_findings(site, facts, to) + _versions(site, facts, to)
    found += _docker(site, facts, to) + parking_lot(site, facts) + _provider(site, facts, to)
    return found + (_native(site, facts) if to == "native" else [])


def runner(facts: Facts) -> list[Finding]:
    """What stands against running any plan at all."""
    found = [
        Finding(f"plan {plan} was interrupted and is not taken back yet", f"inv resume --plan {plan}")
        for plan in facts.ops.get("unfinished", ())
        if not facts.ops.get("lock")
    ]
    if facts.host["disk_free"] < _DISK:
        found.append(
            Finding(f"only {facts.host['disk_free'] >> 20} MiB are free below /var/lib", "free at least 512 MiB")
        )
    if facts.owner_error:
        found.append(Finding(facts.owner_error, "look who runs, then write native or docker into it"))
    return found


def no_manager(site: Site, facts: Facts) -> list[Finding]:
    """Whether the app's user has a systemd manager of its own that stays."""
    if not facts.user_manager:
        return []
    return [Finding(facts.user_manager, f"on the VPS: sudo loginctl enable-linger {site.app.user}")]


def missing_programs(site: Site, facts: Facts) -> list[Finding]:
    """The native servers' programs that are not installed."""
    missing = infra.missing_programs(site, facts)
    if not missing:
        return []
    return [Finding(f"not installed on the VPS: {', '.join(missing)}", "install their packages (apt-get install …)")]


def unreadable_bridge(site: Site, facts: Facts) -> list[Finding]:
    """Whether the bridge's gateway, where natives listen or the edge connects to, could be found."""
    native = site.runtimes.native
    if BRIDGE not in (native.bind, native.upstream) or survey.address(facts, BRIDGE):
        return []
    return [
        Finding(
            f"the gateway of the Docker network {site.edge.network} is unknown: {facts.edge.get('problem')}",
            "check edge.network in the inventory, or name an address as runtimes.native.bind and .upstream",
        )
    ]


def parking_lot(site: Site, facts: Facts) -> list[Finding]:
    """Whether requests can wait where the inventory says, while no runtime is up."""
    if not site.edge.hold:
        return []
    found = []
    if not survey.address(facts, BRIDGE):
        problem = facts.edge.get("problem")
        found.append(
            Finding(
                f"requests can't wait: the gateway of the Docker network {site.edge.network} is unknown: {problem}",
                "check edge.network in the inventory; edge.hold = false does without waiting, and with an outage",
            )
        )
    ports = {service.parking_port: service.name for service in site.scope("full") if service.parking_port}
    for listener in facts.listeners:
        if listener.port in ports:
            found.append(
                Finding(
                    f"port {listener.port}, where requests for {ports[listener.port]} shall wait, is held by "
                    f"{listener.command or 'another process'} (pid {listener.pid}, {listener.address})",
                    f"stop that process, or give services.{ports[listener.port]} another parking_port",
                )
            )
    return found


def _environment(site: Site, facts: Facts) -> list[Finding]:
    if facts.env_error:
        return [Finding(f"env file: {facts.env_error}", "make it readable, or correct app.env_file")]
    if "API_CONSUMER_RESET" not in facts.env:
        return []
    return [
        Finding(
            "API_CONSUMER_RESET is set in the env file; the app takes any text, even false, for true, and then "
            "recreates the API's durables at every start: what is published meanwhile is never delivered",
            f"remove the line from {site.app.env_file}",
            warning=True,
        )
    ]


def edge_findings(site: Site, facts: Facts, to: str) -> list[Finding]:
    """What stands against pointing the edge at `to`."""
    (step,) = edge.point(site, facts, to)
    assert isinstance(step.action, PointEdge)
    fix = "mend it in Nginx Proxy Manager; `inv npm.status` shows what the edge says"
    return [Finding(f"edge: {problem}", fix) for problem in step.action.problems(facts)]


def _native(site: Site, facts: Facts) -> list[Finding]:
    found = no_manager(site, facts) + missing_programs(site, facts) + unreadable_bridge(site, facts)
    if facts.files[site.app.bun].kind not in ("file", "other"):
        found.append(Finding(f"Bun is not at {site.app.bun}", "install it there, or correct app.bun"))
    ours: dict[int, tuple[str, ...]]
    ours = {server.port: (server.unit, server.distribution_unit) for server in site.servers}
    ours[site.infra.nats.monitor_port] = ours[site.infra.nats.port]
    ours.update({service.port: (service.unit,) for service in site.scope("full") if service.port})
    for listener in facts.listeners:
        if listener.port in ours and _foreign(listener, ours[listener.port]):
            found.append(
                Finding(
                    f"port {listener.port} is held by {listener.command or 'another process'} "
                    f"(pid {listener.pid}, {listener.address})",
                    "stop that process, or give the service another port in the inventory",
                )
            )
    return found


def _foreign(listener: Listener, units: tuple[str, ...]) -> bool:
    """Whether a port is held by neither one of our units, nor a package's, nor Docker's proxy."""
    if listener.command == "docker-proxy":
        return False
    return not any(f"/{unit}" in listener.cgroup for unit in units)


def _docker(site: Site, facts: Facts, to: str) -> list[Finding]:
    foreign = [name for name in site.runtimes.docker.foreign_projects if name in facts.projects]
    found = [
        Finding(
            f"a second Compose project named {name} is on the host ({facts.projects[name]})",
            f"if nobody needs it: docker compose -p {name} down",
            warning=True,
        )
        for name in foreign
    ]
    # Cutover stops Docker by it and comes back by it; rollback writes it first, so only Docker must answer.
    if facts.compose_error and (to == "native" or facts.docker_error):
        found.append(Finding(f"Compose: {facts.compose_error}", "inv docker.render, or mend Docker; then try again"))
    return found


def _provider(site: Site, facts: Facts, to: str) -> list[Finding]:
    """The provider's answer to the key that `to` will use, with the overrides that the plan will write."""
    said = facts.providers.get(to)
    if said is None:
        return []
    found = provider.verdict(site, said)
    if found.ok:
        return []
    fix = f'correct it on the VPS, or set runtimes.{to}.overrides.{site.provider.adapter_env} = "…" to another adapter'
    text = f"the adapter {said.adapter} would not work in {to}: {found.text}"
    return [Finding(text if said.adapter else f"provider: {found.text}", fix, warning=not found.refused)]


def _versions(site: Site, facts: Facts, to: str) -> list[Finding]:
    """A server must not be older than the one that wrote the data it opens (Redis refuses, others do not promise)."""
    former = "docker" if to == "native" else "native"
    found: list[Finding] = []
    for server in site.servers:
        old, new = (facts.versions.get(f"{runtime}/{server.name}", "") for runtime in (former, to))
        if not new and to == "docker":
            error = facts.version_errors.get(f"docker/{server.name}", "no answer")
            found.append(Finding(f"image {server.image}: {error}", "load the image, or correct the inventory"))
        elif not (old and new):
            continue
        elif _release(new) < _release(old):
            found.append(
                Finding(
                    f"{to}'s {server.name} is {new}, and {former}'s {old} wrote the data: an older one may not read it",
                    f"use a {server.name} of at least {old} in {to}",
                )
            )
        elif _release(new) > _release(old) and to == "native":
            found.append(
                Finding(
                    f"native {server.name} {new} is newer than Docker's {old}: a rollback would be refused, since "
                    f"the older one may not read what the newer one writes",
                    f"bring the image {server.image} to {new} to keep the way back open",
                    warning=True,
                )
            )
    return found


def _release(version: str) -> tuple[int, ...]:
    """Major and minor: patches keep their data formats."""
    return tuple(int(part) for part in version.split(".")[:2]) if version else ()


def native_owns(site: Site, facts: Facts) -> list[Finding]:
    """Native servers start only where native owns: the units' own condition would skip them otherwise."""
    owner = survey.owner(facts)
    if owner == "native":
        return []
    who = f"{owner} owns the app and its data" if owner else "nobody owns the app and its data yet"
    return [Finding(f"{who}, so native units would not start", "inv cutover hands it over as a whole")]


def app_may_run(site: Site, facts: Facts) -> list[Finding]:
    """What stands against running native services."""
    return native_owns(site, facts) + no_manager(site, facts)


def docker_may_run(site: Site, facts: Facts) -> list[Finding]:
    """Docker's services start only where native does not own: both would open the same data."""
    if survey.owner(facts) != "native":
        return []
    return [Finding("native owns the app and its data", "inv rollback --full hands it back as a whole")]


def unknown_subnet(site: Site, facts: Facts) -> list[Finding]:
    """Whether the edge's network, which the rules are for, could be found."""
    if facts.edge.get("network", {}).get("subnet"):
        return []
    problem = facts.edge.get("problem") or "Docker does not tell its subnet"
    return [Finding(f"the Docker network {site.edge.network}: {problem}", "check edge.network in the inventory")]
