"""The durable data and who owns it."""

from __future__ import annotations

from fabfile.inventory import Site
from fabfile.plans.plan import NothingToUndo, Step, Steps, Undo
from fabfile.runner.actions.backup import Backup
from fabfile.runner.actions.data import ChangeOwnership, SetOwner
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime


def backup(site: Site, facts: Facts, to: Runtime) -> Steps:
    """The operator's own backup, if the inventory names one for this hand-over; its failure stops the plan."""
    hook = site.backup
    first_only = hook.before == "the first hand-over"
    if not hook.hook or facts.owner == to or (first_only and facts.owner):
        return ()
    action = Backup(
        (hook.hook, *hook.argv), site.app.data_root, "docker" if to == "native" else "native", to, hook.timeout
    )
    return (Step("data: backup", action, NothingToUndo("a backup changes nothing that would have to come back")),)


def transfer_ownership(site: Site, facts: Facts, to: Runtime) -> Steps:
    """Make the data readable by the new owner's servers, then say who owns it.

    Where `to` owns already the files are its servers' own business: containers may write as several users.
    """
    units, user_units = (tuple(one.unit for one in some) for some in (site.servers, site.scope("full")))
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
