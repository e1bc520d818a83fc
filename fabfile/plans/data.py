"""The durable data and who owns it."""

from __future__ import annotations

from fabfile.inventory import Site
from fabfile.plan import Step, Steps, Undo
from fabfile.runner.actions.data import Handing, SetOwner
from fabfile.runner.facts import Facts


def hand_over(site: Site, facts: Facts, to: str) -> Steps:
    """Make the data readable by the new owner's servers, then say who owns it.

    Where `to` owns already the files are its servers' own business: containers may write as several users.
    """
    owned = Step(f"data: owner {to}", SetOwner(site.app.owner_file, to), Undo())
    if facts.owner == to:
        return (owned,)
    owners = tuple(server.user if to == "native" else server.image_user for server in site.servers)
    trees = tuple(server.data for server in site.servers)
    return (
        Step(f"data: to {to}'s servers", Handing(trees, owners), Undo()),
        owned,
    )
