"""Whether the new owner's servers are new enough for what the former ones wrote, and those for the way back."""

from __future__ import annotations

from dataclasses import replace

from fabfile import survey
from fabfile.checks.result import Finding
from fabfile.inventory import Server, Site
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime, other

# RDB format → the first Redis that reads it (RDB_VERSION in its rdb.h). What is newer than this list is judged by
# the releases alone.
_FIRST_RELEASE = {10: (7, 0), 11: (7, 2), 12: (7, 4)}
_DOWNGRADE_RISK = (
    "accepted by --accept-downgrade: it may refuse the data, and then the plan reverts; or it may start, and what it "
    "does not know is lost, which no revert brings back"
)


def findings(site: Site, facts: Facts, to: Runtime, accept_downgrade: bool = False) -> list[Finding]:
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
    former, old, new = _both(server, facts, to)
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
    former, old_version, new_version = _both(redis, facts, to)
    if old == new or not new_version or 0 < _rdb_format(old, old_version) <= _rdb_format(new, new_version):
        return []
    where = f"infra.redis.binary, now {redis.binary}" if to == "native" else f"infra.redis.image, now {redis.image}"
    text = f"{former}'s redis is {old}, and {to}'s is {new}: that {new} reads what this {old} writes is not known"
    return [Finding(text, f"use the same in both: {where}")]


def _products(site: Site, facts: Facts, to: Runtime) -> tuple[str, str]:
    """What of Redis and its forks owned before, by its own word where it runs, and what `to` has."""
    former, old, new = _both(site.infra.redis, facts, to)
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
    former, old, new = _both(server, facts, to)
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


def _both(server: Server, facts: Facts, to: Runtime) -> tuple[str, str, str]:
    """Who owned before, its version of the server, and `to`'s; a version is empty when it is unknown."""
    former = other(to)
    return former, facts.versions.get(f"{former}/{server.name}", ""), facts.versions.get(f"{to}/{server.name}", "")


def _release(version: str) -> tuple[int, ...]:
    """Major and minor: patches keep their data formats."""
    return tuple(int(part) for part in version.rpartition(" ")[2].split(".")[:2])
