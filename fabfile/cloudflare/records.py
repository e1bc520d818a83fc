"""The records that the inventory expects, and what Cloudflare has in their place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fabfile.cloudflare.client import Api
from fabfile.cloudflare.schema import Record, Zone, posture, seconds
from fabfile.errors import DnsFailed
from fabfile.inventory import Dns, DnsRecord

_ZONES_PER_PAGE: Final = 50  # Cloudflare's maximum
_RECORDS_PER_PAGE: Final = 100
_ADDRESSES: Final = ("A", "AAAA", "CNAME")  # the types that route a domain


@dataclass(frozen=True)
class Found:
    """An expected record and the one that is there; `problems` says why it may not be changed."""

    expected: DnsRecord
    record: Record | None
    problems: tuple[str, ...]

    @property
    def differences(self) -> tuple[str, ...]:
        """Where posture and TTL differ from the inventory."""
        if self.record is None:
            return ()
        expected, actual = self.expected, self.record
        ttl = 1 if expected.proxied else expected.ttl
        return (
            *((f"the inventory says {posture(expected.proxied)}",) if actual.proxied != expected.proxied else ()),
            *((f"the inventory says TTL {seconds(ttl)}",) if actual.ttl != ttl else ()),
        )


@dataclass(frozen=True)
class Look:
    """The zone and the records that were looked for in it."""

    zone: Zone
    found: tuple[Found, ...]

    @property
    def problems(self) -> list[str]:
        """Every reason to refuse a change."""
        idle = (
            []
            if self.zone.status == "active"
            else [f"the zone {self.zone.name} is {self.zone.status}: other name servers answer for it"]
        )
        return idle + [problem for found in self.found for problem in found.problems]


def path_of(zone: Zone, record: Record | None = None) -> str:
    """Where the API has the records of a zone, or one of them."""
    return f"/zones/{zone.id}/dns_records" + (f"/{record.id}" if record else "")


def look(api: Api, dns: Dns) -> Look:
    """Fetch the zone and every record of the inventory. Raises DnsFailed, DnsUnreachable."""
    zone = _zone(api, dns.zone)
    existing: dict[str, list[Record]] = {}
    for expected in dns.records.values():
        if expected.domain not in existing:
            named = api.all(Record, path_of(zone), _RECORDS_PER_PAGE, name=expected.domain)
            existing[expected.domain] = [record for record in named if record.name == expected.domain]
    types: set[tuple[str, str]] = {(expected.domain, expected.type) for expected in dns.records.values()}
    return Look(zone, tuple(_match(expected, existing[expected.domain], types) for expected in dns.records.values()))


def _zone(api: Api, name: str) -> Zone:
    zones = [zone for zone in api.all(Zone, "/zones", _ZONES_PER_PAGE, name=name) if zone.name == name]
    if len(zones) == 1:
        return zones[0]
    if not zones:
        raise DnsFailed(
            f"the token is shown no zone {name}",
            next_step="Check dns.zone in the inventory, and that the token may read that zone (Zone:Read).",
        )
    ids = ", ".join(f"{zone.id} ({zone.status})" for zone in zones)
    raise DnsFailed(
        f"the token is shown {len(zones)} zones {name}, and which one is ours can't be told: {ids}",
        next_step="Use a token of the one account, limited to the one zone.",
    )


def _match(expected: DnsRecord, existing: list[Record], types: set[tuple[str, str]]) -> Found:
    ours = [record for record in existing if record.type == expected.type]
    record = ours[0] if len(ours) == 1 else None
    return Found(expected, record, tuple(_problems(expected, ours, _strangers(existing, types))))


def _strangers(existing: list[Record], types: set[tuple[str, str]]) -> list[Record]:
    """The address records of the same domain that are not in the inventory."""
    return [record for record in existing if record.type in _ADDRESSES and (record.name, record.type) not in types]


def _problems(expected: DnsRecord, ours: list[Record], strangers: list[Record]) -> Iterator[str]:
    name = f"{expected.domain} {expected.type}"
    if not ours:
        yield f"{name}: there is no such record"
    elif len(ours) > 1:
        contents = ", ".join(record.content for record in ours)
        yield f"{name}: there are {len(ours)} such records ({contents}), and which one is ours can't be told"
    elif ours[0].content.lower() != expected.content.lower():
        yield f"{name}: leads to {ours[0].content}, and the inventory says {expected.content}"
    for record in strangers:
        yield f"{name}: there is a record {record.type} {record.content}, too, which the inventory does not know"
