"""The records that the inventory expects, and what Cloudflare has in their place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fabfile.cloudflare.client import Api
from fabfile.cloudflare.schema import Record, Zone, posture, seconds
from fabfile.errors import DnsFailed
from fabfile.inventory import Dns, DnsRecord

_ZONES_A_PAGE: Final = 50  # the most that Cloudflare gives
_RECORDS_A_PAGE: Final = 100
_ADDRESSES: Final = ("A", "AAAA", "CNAME")  # the types that say where a domain leads


@dataclass(frozen=True)
class Found:
    """An expected record and the one that is there; `problems` says why it can't be told to be ours."""

    expected: DnsRecord
    record: Record | None
    problems: tuple[str, ...]

    @property
    def differences(self) -> tuple[str, ...]:
        """What the inventory says otherwise of posture and TTL."""
        if self.record is None:
            return ()
        wanted, found = self.expected, self.record
        ttl = 1 if wanted.proxied else wanted.ttl
        return (
            *((f"the inventory says {posture(wanted.proxied)}",) if found.proxied != wanted.proxied else ()),
            *((f"the inventory says TTL {seconds(ttl)}",) if found.ttl != ttl else ()),
        )


@dataclass(frozen=True)
class Look:
    """The zone and the records that were looked for in it."""

    zone: Zone
    found: tuple[Found, ...]

    @property
    def problems(self) -> list[str]:
        """Everything that forbids a change."""
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
    """Ask for the zone and for every record of the inventory. Raises DnsFailed, DnsUnreachable."""
    zone = _zone(api, dns.zone)
    there: dict[str, list[Record]] = {}
    for wanted in dns.records.values():
        if wanted.domain not in there:
            named = api.all(Record, path_of(zone), _RECORDS_A_PAGE, name=wanted.domain)
            there[wanted.domain] = [record for record in named if record.name == wanted.domain]
    types: set[tuple[str, str]] = {(wanted.domain, wanted.type) for wanted in dns.records.values()}
    return Look(zone, tuple(_found(wanted, there[wanted.domain], types) for wanted in dns.records.values()))


def _zone(api: Api, name: str) -> Zone:
    zones = [zone for zone in api.all(Zone, "/zones", _ZONES_A_PAGE, name=name) if zone.name == name]
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


def _found(wanted: DnsRecord, there: list[Record], types: set[tuple[str, str]]) -> Found:
    ours = [record for record in there if record.type == wanted.type]
    record = ours[0] if len(ours) == 1 else None
    return Found(wanted, record, tuple(_problems(wanted, ours, _strangers(there, types))))


def _strangers(there: list[Record], types: set[tuple[str, str]]) -> list[Record]:
    """Records that lead the same domain somewhere, which the inventory does not know."""
    return [record for record in there if record.type in _ADDRESSES and (record.name, record.type) not in types]


def _problems(wanted: DnsRecord, ours: list[Record], strangers: list[Record]) -> Iterator[str]:
    name = f"{wanted.domain} {wanted.type}"
    if not ours:
        yield f"{name}: there is no such record"
    elif len(ours) > 1:
        contents = ", ".join(record.content for record in ours)
        yield f"{name}: there are {len(ours)} such records ({contents}), and which one is ours can't be told"
    elif ours[0].content.lower() != wanted.content.lower():
        yield f"{name}: leads to {ours[0].content}, and the inventory says {wanted.content}"
    for record in strangers:
        yield f"{name}: there is a record {record.type} {record.content}, too, which the inventory does not know"
