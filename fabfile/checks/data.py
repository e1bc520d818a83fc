"""Whether the new owner's servers can take over the data: they read it, it can be counted, nobody else uses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fabfile import survey
from fabfile.checks.result import Finding
from fabfile.checks.servers import settings
from fabfile.inventory import Server, Site
from fabfile.runner.wire.data import Holding
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime, other

# RDB format → the first Redis that reads it (RDB_VERSION in its rdb.h). What is newer than this list is judged by
# the releases alone.
_FIRST_RELEASE = {10: (7, 0), 11: (7, 2), 12: (7, 4)}
_DOWNGRADE_RISK = (
    "accepted by --accept-downgrade: it may refuse the data, and then the plan reverts; or it may start, and what it "
    "does not know is lost, which no revert brings back"
)

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
    result = readable(site, facts, to, accept_downgrade) + foreign(site, facts) + provable(site, facts, to)
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


def readable(site: Site, facts: Facts, to: Runtime, accept_downgrade: bool = False) -> list[Finding]:
    """What stands against `to` opening the data, and what would stand against the way back.

    Nothing does where `to` owns it already. With `accept_downgrade` refusals become warnings that say what is given up.
    """
    result = _missing_images(site, facts) if to == "docker" else []
    if survey.owner(facts) == to:
        return result
    former, new = _products(site, facts, to)
    alike = [server for server in site.servers if server.name != "redis" or former == new]
    refusals = [finding for server in alike for finding in _older(server, facts, to)] + _format(site, facts, to)
    refusals += _fork(site, facts, to)
    if accept_downgrade:
        refusals = [replace(finding, fix=_DOWNGRADE_RISK, warning=True) for finding in refusals]
    return result + refusals + [finding for server in alike for finding in _way_back(server, facts, to)]


def _missing_images(site: Site, facts: Facts) -> list[Finding]:
    return [
        Finding(
            f"image {server.image}: {facts.version_errors.get(f'docker/{server.name}', 'no answer')}",
            "load the image, or correct the inventory",
        )
        for server in site.servers
        if not facts.versions.get(f"docker/{server.name}")
    ]


def _older(server: Server, facts: Facts, to: Runtime) -> list[Finding]:
    """Redis refuses what a newer one wrote; the others do not promise to read it."""
    former, old, new = _versions(server, facts, to)
    if not (old and new) or _release(new) >= _release(old):
        return []
    return [
        Finding(
            f"{to}'s {server.name} is {new}, and {former}'s {old} wrote the data: an older one may not read it",
            f"use a {server.name} of at least {old} in {to}, or accept the loss: --accept-downgrade",
        )
    ]


def _format(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """Files may be newer than the server that opened them last: Redis rewrites them when it sees fit."""
    redis = site.infra.redis
    rdb_format, new = facts.redis_formats.get(redis.data, 0), facts.versions.get(f"{to}/{redis.name}", "")
    first = _FIRST_RELEASE.get(rdb_format)
    if not new or _product(new) != "Redis" or first is None or _release(new) >= first:
        return []
    reads = max(
        (version for version, release in _FIRST_RELEASE.items() if release <= _release(new)),
        default=min(_FIRST_RELEASE) - 1,
    )
    return [
        Finding(
            f"the files in {redis.data} have RDB format {rdb_format}, and {to}'s redis {new} reads up to {reads}",
            f"use a redis of at least {first[0]}.{first[1]} in {to}",
        )
    ]


def _fork(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """Redis and its forks count their versions apart, and not each reads what another one wrote."""
    redis, (old, new) = site.infra.redis, _products(site, facts, to)
    former, old_version, new_version = _versions(redis, facts, to)
    if old == new or not new_version or 0 < _rdb_format(old, old_version) <= _rdb_format(new, new_version):
        return []
    where = f"infra.redis.binary, now {redis.binary}" if to == "native" else f"infra.redis.image, now {redis.image}"
    text = f"{former}'s redis is {old}, and {to}'s is {new}: that {new} reads what this {old} writes is not known"
    return [Finding(text, f"use the same in both: {where}")]


def _products(site: Site, facts: Facts, to: Runtime) -> tuple[str, str]:
    """What of Redis and its forks owned before, by its own word where it runs, and what `to` has."""
    former, old, new = _versions(site.infra.redis, facts, to)
    holding = facts.data.get(f"{former}/redis")
    return (holding.product if holding else "") or _product(old), _product(new)


def _product(version: str) -> str:
    return version.rpartition(" ")[0] or "Redis"


def _rdb_format(product: str, version: str) -> int:
    """The RDB format that a Redis or a Valkey writes, which is the highest that it reads; 0 where that is not known."""
    if not version or product not in ("Redis", "Valkey"):
        return 0
    release = _release(version)
    if product == "Valkey":  # it left Redis behind at 7.2, and has numbers of its own from 9
        return 11 if release < (9,) else 0
    return max((number for number, first in _FIRST_RELEASE.items() if first <= release), default=9)


def _way_back(server: Server, facts: Facts, to: Runtime) -> list[Finding]:
    former, old, new = _versions(server, facts, to)
    if not (old and new) or _release(new) <= _release(old):
        return []
    back = "a rollback" if to == "native" else "the next cutover"
    where = f"the image {server.image}" if to == "native" else f"native {server.name}"
    return [
        Finding(
            f"{to}'s {server.name} {new} is newer than {former}'s {old}: {back} would be refused, since the older one "
            f"may not read what the newer one writes",
            f"bring {where} to {new} to keep the way back open",
            warning=True,
        )
    ]


def _versions(server: Server, facts: Facts, to: Runtime) -> tuple[str, str, str]:
    """Who owned before, its version of the server, and `to`'s; a version is empty when it is unknown."""
    former = other(to)
    return former, facts.versions.get(f"{former}/{server.name}", ""), facts.versions.get(f"{to}/{server.name}", "")


def _release(version: str) -> tuple[int, ...]:
    """Major and minor: patches keep their data formats."""
    return tuple(int(part) for part in version.rpartition(" ")[2].split(".")[:2])


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
