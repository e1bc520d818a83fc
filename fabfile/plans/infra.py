"""The three native servers."""

from __future__ import annotations

from pathlib import PurePosixPath

from fabfile import workloads
from fabfile.inventory import Site
from fabfile.plans.plan import NothingToUndo, Step, Steps, Undo
from fabfile.plans.steps import KILL_SECONDS, as_healthy, data_unused, units_valid, write_files
from fabfile.rendering import files
from fabfile.runner.actions.files import Accounts, Folder, Folders
from fabfile.runner.actions.probes import Healthy, PortsFree, UnitsDown
from fabfile.runner.actions.units import Disable, Enable, Start, Stop
from fabfile.runner.facts.health import SETTLE_SECONDS
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Owner

_USER_STAYS = "a system user without a process changes nothing, and files may be its own already"


def install(site: Site, facts: Facts) -> Steps:
    """System users, data directories, units and configuration; nothing is started."""
    servers = site.servers
    users = {server.user: server.data for server in servers}
    folders = [Folder(site.app.data_root, 0o755, "root", "root")]
    folders += [Folder(server.data, 0o750, server.user, server.group) for server in servers]
    rendered = files.infra(site)
    action = write_files(rendered, reload=True)
    return (
        Step("infra: users", Accounts(tuple(users), tuple(users.values())), NothingToUndo(_USER_STAYS)),
        Step("infra: folders", Folders(tuple(folders)), Undo()),
        Step("infra: units and configuration", action, Undo(), verify=units_valid(rendered)),
    )


def free_ports(site: Site, facts: Facts) -> Steps:
    """Keep the packages' own servers from holding our servers' ports, now and after a reboot."""
    packaged = tuple(server.distribution_unit for server in site.servers)
    return (
        Step("infra: packages' units off at boot", Disable(packaged), Undo()),
        Step("infra: packages' units stopped", Stop(packaged, timeout=_stop_seconds(site)), Undo()),
    )


def enable(site: Site, facts: Facts) -> Steps:
    """Have the servers start at boot, where native owns, and the data sealed then, with servers or without."""
    return (Step("infra: on at boot", Enable((site.seal_unit, *_units(site))), Undo()),)


def start(site: Site, facts: Facts, settle: float = SETTLE_SECONDS, unproven: bool = False) -> Steps:
    """Start the servers and wait until they are healthy, and still are after `settle` seconds.

    With `unproven` it is still to be shown that they have all their data: an undo kills them before they save.
    """
    units = _units(site)
    return (
        Step(
            "infra: start",
            Start(units, timeout=_stop_seconds(site), unproven=unproven),
            Undo(verify=(UnitsDown(units),), deadline=_stop_seconds(site)),
            verify=(Healthy(workloads.of_servers(site, "native"), settle),),
            deadline=site.timeouts.health,
        ),
    )


def stop(site: Site, facts: Facts, *, to: Owner = "") -> Steps:
    """Stop the servers. Where their data goes `to` another owner next, nobody else may have it in use either."""
    units = _units(site)
    return (
        Step(
            "infra: stop",
            Stop(units, timeout=_stop_seconds(site)),
            Undo(verify=as_healthy(facts, workloads.of_servers(site, "native")), deadline=site.timeouts.health),
            verify=(
                UnitsDown(units),
                PortsFree(tuple(server.port for server in site.servers)),
                *data_unused(site, facts, to),
            ),
            deadline=_stop_seconds(site),
        ),
    )


def disable(site: Site, facts: Facts) -> Steps:
    """Keep the servers from starting at boot. The seal stays on: it asks who owns, and harms nobody."""
    return (Step("infra: off at boot", Disable(_units(site)), Undo()),)


def missing_programs(site: Site, facts: Facts) -> tuple[str, ...]:
    """The servers' programs that the VPS lacks, by name; judged by a survey that asked for versions."""
    return tuple(
        PurePosixPath(server.binary).name for server in site.servers if not facts.versions.get(f"native/{server.name}")
    )


def _stop_seconds(site: Site) -> float:
    """Seconds for stopping the servers: never less than systemd gives them before it kills them."""
    return max(site.timeouts.step, files.SERVER_STOP + KILL_SECONDS)


def _units(site: Site) -> tuple[str, ...]:
    return tuple(server.unit for server in site.servers)
