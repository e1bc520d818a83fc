"""The durable data and who owns it."""

from __future__ import annotations

from fabfile import workloads
from fabfile.inventory import Site
from fabfile.plans.plan import NothingToUndo, Step, Steps, Undo
from fabfile.runner.actions.backup import Backup
from fabfile.runner.actions.data import ChangeOwnership, SetOwner
from fabfile.runner.actions.keep_aside import DiscardKept, KeepAside
from fabfile.runner.actions.probes import ContainersDown, DataUnused, ReadOnly, UnitsDown, Writable
from fabfile.runner.actions.proof import CompareData, CountData
from fabfile.runner.actions.units import Start, Stop
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime, other


def backup(site: Site, facts: Facts, to: Runtime) -> Steps:
    """The operator's own backup, if the inventory names one for this hand-over; its failure stops the plan."""
    hook = site.backup
    first_only = hook.before == "the first hand-over"
    if not hook.hook or facts.owner == to or (first_only and facts.owner):
        return ()
    action = Backup((hook.hook, *hook.argv), site.app.data_root, other(to), to, hook.timeout)
    return (Step("data: backup", action, NothingToUndo("a backup changes nothing that would have to come back")),)


def unproven(facts: Facts, to: Runtime) -> bool:
    """Whether `to`'s servers have yet to show that they have all the data; where `to` owns it, they have it already."""
    return facts.owner != to


def count(site: Site, facts: Facts, to: Runtime) -> Steps:
    """Count what the servers hold, before they stop; nobody may write any more.

    Towards native a server that runs and can't be asked stops the plan. The way back to Docker must not depend on it.
    """
    if facts.owner == to:
        return ()
    leaving = other(to)
    action = CountData(workloads.data(site, leaving), must=to == "native", timeout=site.timeouts.health)
    return (Step("data: counted", action, Undo()),)


def keep(site: Site, facts: Facts, to: Runtime) -> Steps:
    """Keep the data aside as the stopped servers left it, until the new ones have shown that they hold all of it."""
    return (Step("data: kept aside", KeepAside(workloads.kept(site)), Undo()),) if facts.owner != to else ()


def seal(site: Site, facts: Facts) -> Steps:
    """Make the data read-only to all but the native servers, so that no container can open it for writing any more.

    Not beneath servers that run already: it would take the data from those that know no seal.
    """
    servers = [facts.unit(server.unit) for server in site.servers]
    if facts.owner == "native" and any(server and server.up for server in servers):
        return ()
    unit, project = (site.seal_unit,), site.runtimes.docker.project
    names = tuple(workload.name for workload in workloads.everything(site, "docker"))
    folders = tuple(server.data for server in site.servers)
    verify = (
        ReadOnly(folders),
        ContainersDown(project, names),  # somebody may have started them again since the plan stopped them
        DataUnused(folders),
    )
    return (Step("data: sealed", Start(unit), Undo(verify=(UnitsDown(unit), Writable(folders))), verify),)


def unseal(site: Site, facts: Facts) -> Steps:
    """Let containers write to the data again, once the native servers are down."""
    unit = (site.seal_unit,)
    folders = tuple(server.data for server in site.servers)
    return (Step("data: unsealed", Stop(unit), Undo(), verify=(UnitsDown(unit), Writable(folders))),)


def compare(site: Site, facts: Facts, to: Runtime) -> Steps:
    """Compare what the new servers hold with what was counted, before anybody writes to them."""
    if facts.owner == to:
        return ()
    why = "comparing changes nothing on the servers"
    return (Step("data: all there", CompareData(workloads.data(site, to), site.timeouts.health), NothingToUndo(why)),)


def discard(site: Site, facts: Facts, to: Runtime) -> Steps:
    """Delete what was kept aside: the new servers have written since, so that it leads nowhere any more."""
    if facts.owner == to:
        return ()
    why = "what was kept aside is older than what the servers hold"
    return (Step("data: kept copy deleted", DiscardKept(KeepAside(workloads.kept(site))), NothingToUndo(why)),)


def transfer_ownership(site: Site, facts: Facts, to: Runtime) -> Steps:
    """Make the data readable by the new owner's servers, then say who owns it.

    Where `to` owns already the files are its servers' own business: containers may write as several users.
    """
    units = (*(server.unit for server in site.servers), site.seal_unit)
    user_units = tuple(service.unit for service in site.scope("full"))
    action = SetOwner(site.app.owner_file, to, units, site.app.user, user_units, site.timeouts.step)
    owned = Step(f"data: owner {to}", action, Undo())
    if facts.owner == to:
        return (owned,)
    owners = tuple(server.user if to == "native" else server.image_user for server in site.servers)
    trees = tuple(server.data for server in site.servers)
    return (
        Step(f"data: to {to}'s servers", ChangeOwnership(trees, owners), Undo()),
        owned,
    )
