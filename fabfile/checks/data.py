"""Whether the new owner's servers can take over the data: they read it, it can be counted, nobody else uses it.

Whether they are new enough for it is in `servers/versions.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from fabfile import survey
from fabfile.checks.result import Finding
from fabfile.checks.servers import settings, versions
from fabfile.inventory import Server, Site
from fabfile.runner.wire.data import Holding
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime, other

_FIX_ELSEWHERE = {
    "redis": "in the container: redis-cli CONFIG SET appendonly yes, which writes the file at once, and the same in "
    "the Compose file; the directory is infra.redis.data in the inventory",
    "nats": "give NATS the shared directory as its store (-sd, or store_dir), or correct infra.nats.data",
    "clickhouse": "mount the shared directory at its path, or correct infra.clickhouse.data",
}
_FIX_UNREADABLE = {
    "nats": "back up the streams (nats stream backup), run Docker's NATS without jetstream.key on an empty directory, "
    "and restore them",
    "clickhouse": "create those tables anew without a storage policy of their own, and copy the rows (INSERT … SELECT)",
}
_FIX_UNCOUNTED = (
    "make it answer and try again: what can't be counted before a hand-over can't be proven to be there after it"
)


def findings(site: Site, facts: Facts, to: Runtime, accept_downgrade: bool = False) -> list[Finding]:
    """What stands against handing the data to `to`, and what would stand against the way back.

    With `accept_downgrade` older servers on newer data are warned about only.
    """
    result = versions.findings(site, facts, to, accept_downgrade) + foreign(site, facts) + provable(site, facts, to)
    result += unkept(facts, to) + settings.findings(site, facts, to)
    return result + (nested(facts) + fleeting(site) + other_users(site, facts) if to == "native" else [])


def unkept(facts: Facts, to: Runtime) -> list[Finding]:
    """What the plan can't keep aside of the data, should `to`'s servers come up with less."""
    if facts.owner == to:
        return []
    effect = (
        f"the plan is reverted all the same if {to}'s server has less, and then what that server changed there stays"
    )
    fix = "have a backup of your own (`backup.hook`), or "
    return [
        Finding(
            f"{one.folder} can't be kept aside: {one.reason}; {effect}",
            fix + "move the data into a folder that is no mount and on the file system of the folder above it",
            warning=True,
        )
        if one.reason
        else Finding(
            f"{one.shared >> 20} MiB in {one.folder} are too large to be copied while requests wait, and are kept "
            f"aside by links alone: {effect}",
            fix + "have the server write its files anew, which makes them smaller (of Redis: BGREWRITEAOF)",
            warning=True,
        )
        for one in facts.unkept
    ]


def fleeting(site: Site) -> list[Finding]:
    """Data where systemd gives each native server an empty folder of its own (PrivateTmp=)."""
    return [
        Finding(
            f"infra.{server.name}.data is {server.data}: native's server gets a {folder} of its own, and the system "
            "deletes what is old there",
            "move the data elsewhere, for Docker as well, and correct the inventory",
        )
        for server in site.servers
        for folder in ("/tmp", "/var/tmp")
        if server.data.startswith(f"{folder}/")
    ]


def nested(facts: Facts) -> list[Finding]:
    """Volumes within the data: the seal binds a directory without what is mounted below it."""
    return [
        Finding(
            f"{point} is a mount of its own within the data: native's server would find an empty directory there",
            "have the data in one file system, or mount the volume at the data directory itself",
        )
        for point in facts.mounts_below
    ]


def provable(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """What stands against handing the data to `to`. The survey must have asked what the servers hold.

    Where the way back to Docker can't be proven it is warned about only: it must be there when native is ill.
    """
    if facts.owner == to:
        return []
    leaving = other(to)
    return [
        finding
        for server in site.servers
        if (holding := facts.data.get(f"{leaving}/{server.name}")) is not None
        for finding in _server_findings(server, holding, leaving)
    ]


def foreign(site: Site, facts: Facts) -> list[Finding]:
    """Who uses the data and is neither a container of the project's nor a unit of ours: it would not be stopped."""
    ours = [container.id for container in facts.all_containers]
    ours += [f"/{unit}" for server in site.servers for unit in (server.unit, server.distribution_unit)]
    return [
        Finding(str(opener), "stop it, or have it keep its data elsewhere: nobody else may write what changes hands")
        for opener in facts.openers
        if not any(name in opener.cgroup for name in ours)
    ]


def other_users(site: Site, facts: Facts) -> list[Finding]:
    """Data of other users than the inventory says of Docker's servers: a rollback would give it to the latter.

    Where all is root's it is not known who they are: the image may start as root.
    """
    if survey.owner(facts) != "docker":
        return []
    found = []
    for server in site.servers:
        owners = facts.trees[server.data].owners if server.data in facts.trees else ()
        users = {owner.partition(":")[0] for owner in owners}
        if users - {"0"} and server.image_user.partition(":")[0] not in users:
            belongs = ", ".join(owner for owner in owners if not owner.startswith("0:"))
            found.append(
                Finding(
                    f"{server.data} belongs to {belongs}, and infra.{server.name}.image_user is {server.image_user}: a "
                    "rollback would give the data to a user that Docker's server is not",
                    f"infra.{server.name}.image_user = the user and group of its container, as the files have them now",
                )
            )
    return found


def _server_findings(server: Server, holding: Holding, leaving: Runtime) -> Iterator[Finding]:
    rescue = leaving == "native"
    if holding.down:
        yield Finding(
            f"{holding.problem}, so that nothing proves that the hand-over keeps its data",
            _FIX_UNCOUNTED,
            warning=rescue,
        )
    elif holding.problem:
        yield Finding(f"what it holds can't be counted: {holding.problem}", _FIX_UNCOUNTED, warning=rescue)
    if holding.volatile:
        yield Finding(
            f"{leaving}'s {server.name} has in memory alone, and no restart keeps it: {', '.join(holding.volatile)}",
            "nothing, if the app fills it again; else have it stored in files before the hand-over",
            warning=True,
        )
    for reason in holding.unreadable:
        yield Finding(
            f"{other(leaving)}'s {server.name} could not read the data: {reason}",
            _FIX_UNREADABLE[server.name],
            warning=rescue,
        )
    for reason in holding.elsewhere:
        yield Finding(
            f"{leaving}'s {server.name} would lose data: {reason}", _FIX_ELSEWHERE[server.name], warning=rescue
        )
