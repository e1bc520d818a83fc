"""Whether the new owner's servers are set as the app has known them: NATS' largest message, Redis' own settings.

Docker's are read from the servers that run, native's are what the inventory says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fabfile.checks.result import Finding
from fabfile.inventory import Site
from fabfile.runner.wire.data import Holding
from fabfile.runner.wire.facts import Facts
from fabfile.terms import Runtime, other

_DATABASES = "16"  # where Redis' configuration names no other number
_EVERY_EVENT = frozenset("g$lshzxetd")  # what A stands for among Redis' notifications


def findings(site: Site, facts: Facts, to: Runtime) -> list[Finding]:
    """What stands against `to`'s servers, by their settings. The survey must have asked what the servers hold."""
    former = {name: facts.data.get(f"{other(to)}/{name}") for name in ("nats", "redis")}
    known = {name: holding for name, holding in former.items() if holding and not holding.problem}
    if facts.owner == to:
        return []
    redis = known.get("redis")
    if to == "docker":
        return _composed_limit(site, facts, redis) if redis else []
    result = _payload(site, known["nats"]) if "nats" in known else []
    if redis:
        result += _databases(site, redis) + _notifications(site, redis) + _limit(site, redis)
    return result


def _payload(site: Site, holding: Holding) -> list[Finding]:
    """A publisher whose message is larger than NATS takes gets an error, and loses its connection."""
    former, own = int(holding.settings.get("max_payload", 0)), site.infra.nats.max_payload
    if former <= own:
        return []
    text = f"docker's NATS takes messages of up to {former} bytes (max_payload), and native's of {own} bytes"
    return [Finding(text, f"infra.nats.max_payload = {former} in the inventory, or lower it in Docker")]


def _databases(site: Site, holding: Holding) -> list[Finding]:
    """Redis does not start with keys in a database that it does not have."""
    own = int(site.infra.redis.settings.get("databases", _DATABASES))
    used = [int(name[2:]) for name in holding.counts if re.fullmatch(r"db[0-9]{1,9}", name)]
    former = max([int(holding.settings.get("databases", 0)), *(number + 1 for number in used)])
    if former <= own:
        return []
    beyond = ", ".join(f"db{number}" for number in sorted(used) if number >= own)
    what = f"keys in {beyond}" if beyond else f"{former} databases"
    return [_unlike(f"docker's redis has {what}, and native's has {own} databases", {"databases": former})]


def _notifications(site: Site, holding: Holding) -> list[Finding]:
    former, own = holding.settings.get("notify-keyspace-events", ""), site.infra.redis.settings
    native = own.get("notify-keyspace-events", "")
    if _events(former) <= _events(native):
        return []
    return [
        _unlike(
            f"docker's redis notifies of keys (notify-keyspace-events {former}), and native's "
            + (f"of fewer events ({native})" if _events(native) else "does not"),
            {"notify-keyspace-events": former},
        )
    ]


def _events(flags: str) -> set[str]:
    """Channels and events, as (K, x) where there are notifications of expired keys by the key's channel."""
    events = (set(flags) - set("KEA")) | (_EVERY_EVENT if "A" in flags else set())
    return {channel + event for channel in set(flags) & set("KE") for event in events}


def _limit(site: Site, holding: Holding) -> list[Finding]:
    """Whether native's Redis drops keys as Docker's does."""
    names = ("maxmemory", "maxmemory-policy")
    former, own = (
        (_bytes(settings.get(names[0], "0")), settings.get(names[1], "noeviction"))
        for settings in (holding.settings, site.infra.redis.settings)
    )
    if former == own or not former[0] or former[1] == "noeviction":
        return []
    limit, policy = former
    has = f"of {own[0] >> 20} MiB ({own[1]})" if own[0] else "none: it grows as long as there is memory"
    return [
        _unlike(
            f"docker's redis drops keys ({policy}) once its data takes {limit >> 20} MiB; native's limit is {has}",
            {names[0]: limit, names[1]: policy},
            warning=True,
        )
    ]


def _unlike(text: str, settings: Mapping[str, object], *, warning: bool = False) -> Finding:
    lines = ", ".join(f'{name} = "{value}"' for name, value in settings.items())
    return Finding(text, f"in the inventory, table infra.redis.settings: {lines}", warning=warning)


def _composed_limit(site: Site, facts: Facts, holding: Holding) -> list[Finding]:
    """Whether Docker's Redis may hold what native's does."""
    composed = facts.compose.get("redis")
    limit = _bytes(composed.limits.get("maxmemory", "0")) if composed else 0
    policy = composed.limits.get("maxmemory-policy", "noeviction") if composed else ""
    if not limit or holding.used <= limit:
        return []
    effect = "refuse every write" if policy == "noeviction" else f"drop keys at once ({policy})"
    return [
        Finding(
            f"native's redis holds {holding.used >> 20} MiB, and docker's may hold {limit >> 20}: it would {effect}",
            f"raise --maxmemory in {site.runtimes.docker.file}",
            warning=True,
        )
    ]


def _bytes(text: str) -> int:
    """A size as Redis reads it: 1k is 1000, 1kb 1024; 0 for what is none."""
    found = re.fullmatch(r"(\d{1,18})([kmg]?)(b?)", text.lower())
    return int(found[1]) * (1024 if found[3] else 1000) ** " kmg".index(found[2] or " ") if found else 0
