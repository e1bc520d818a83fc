"""The three native servers."""

from __future__ import annotations

from pathlib import PurePosixPath

from fabfile import render, workloads
from fabfile.inventory import Site
from fabfile.plan import NoUndo, Step, Steps, Undo
from fabfile.plans.parts import as_healthy, written
from fabfile.runner.actions.files import Accounts, Folder, Folders
from fabfile.runner.actions.units import Disable, Enable, Restart, Start, Stop
from fabfile.runner.facts import Facts
from fabfile.runner.probes import Healthy, PortsFree, UnitsDown

_ADOPTED = "a system user without a process changes nothing, and files may be its own already"


def install(site: Site, facts: Facts) -> Steps:
    """System users, data directories, units and configuration; nothing is started."""
    servers = site.servers
    users = {server.user: server.data for server in servers}
    folders = [Folder(site.app.data_root, 0o755, "root", "root")]
    folders += [Folder(server.data, 0o750, server.user, server.group) for server in servers]
    return (
        Step("infra: users", Accounts(tuple(users), tuple(users.values())), NoUndo(_ADOPTED)),
        Step("infra: folders", Folders(tuple(folders)), Undo()),
        Step("infra: units and configuration", written(render.infra(site), reload=True), Undo()),
    )


def start(site: Site, facts: Facts) -> Steps:
    """Start the servers and wait until they are healthy; they will start at boot while native owns."""
    units = _units(site)
    packaged = tuple(server.distribution_unit for server in site.servers)
    limit = site.timeouts.step
    return (
        # The packages' own servers would hold the ports, now or after the next reboot.
        Step("infra: packages' units off at boot", Disable(packaged), Undo()),
        Step("infra: packages' units stopped", Stop(packaged, timeout=limit), Undo()),
        Step("infra: on at boot", Enable(units), Undo()),
        Step(
            "infra: start",
            Start(units, timeout=limit),
            Undo(verify=(UnitsDown(units),), deadline=limit),
            verify=(Healthy(workloads.of_servers(site, "native")),),
            deadline=site.timeouts.health,
        ),
    )


def restart(site: Site, facts: Facts) -> Steps:
    """Restart the servers, after a change of their configuration."""
    return (
        Step(
            "infra: restart",
            Restart(_units(site), timeout=site.timeouts.step),
            Undo(),
            verify=(Healthy(workloads.of_servers(site, "native")),),
            deadline=site.timeouts.health,
        ),
    )


def stop(site: Site, facts: Facts) -> Steps:
    """Stop the servers and keep them from starting at boot."""
    units = _units(site)
    return (
        Step("infra: off at boot", Disable(units), Undo()),
        Step(
            "infra: stop",
            Stop(units, timeout=site.timeouts.step),
            Undo(verify=as_healthy(facts, workloads.of_servers(site, "native")), deadline=site.timeouts.health),
            verify=(UnitsDown(units), PortsFree(tuple(server.port for server in site.servers))),
            deadline=site.timeouts.step,
        ),
    )


def missing_programs(site: Site, facts: Facts) -> tuple[str, ...]:
    """The servers' programs that the VPS lacks, by name; judged by a survey that asked for versions."""
    return tuple(
        PurePosixPath(server.binary).name for server in site.servers if not facts.versions.get(f"native/{server.name}")
    )


def _units(site: Site) -> tuple[str, ...]:
    return tuple(server.unit for server in site.servers)
