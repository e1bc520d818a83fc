"""The edge's backups, as `npm.restore` lists them."""

from __future__ import annotations

import datetime

from fabfile.console import Console
from fabfile.runner.wire.facts import Facts


def show(console: Console, facts: Facts) -> None:
    """A line for each backup of the edge, and where its hosts led."""
    rows = []
    for backup in facts.edge_backups:
        when = datetime.datetime.fromtimestamp(backup.taken, datetime.UTC).isoformat(" ", "seconds")[:19]
        led = [f"{d} at {h.row.place}{'' if h.row.enabled else ' (closed)'}" for d, h in backup.hosts.items()]
        rows.append((backup.id, when, backup.plan, "\n".join(led)))
        console.data("backup", id=backup.id, taken=backup.taken, plan=backup.plan, hosts=led)
    console.table("", ("id", "when (UTC)", "plan", "as it was"), rows)
    console.say("inv npm.restore --backup ID brings one back." if rows else "There are none yet: inv npm.backup")
