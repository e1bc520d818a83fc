"""The DNS records that lead to the edge."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from fabfile.inventory import fields, paths
from fabfile.inventory.base import Conflict, Table

_CONTENTS: Final = {"A": "IPv4", "AAAA": "IPv6", "CNAME": "name"}
"""What a record of each type holds."""


class DnsRecord(Table):
    """A DNS record as it should be; each exactly once in the zone."""

    name: fields.Name
    type: Literal["A", "AAAA", "CNAME"]
    """The record's type."""
    domain: fields.Domain
    """The hostname, which lies in the zone."""
    content: fields.Address
    """The VPS's address, or for CNAME a name."""
    proxied: bool
    """Whether requests go through Cloudflare. `dns.posture` changes it."""
    ttl: fields.Ttl = 1
    """Seconds, 1 is automatic. It holds while the record is not proxied."""

    @classmethod
    def conflicts(cls, written: dict[str, Any]) -> Iterator[Conflict]:
        """The content is what the type holds."""
        kind, content = (str(written.get(key, "")) for key in ("type", "content"))
        if content and kind in _CONTENTS and _kind_of(content) != _CONTENTS[kind]:
            yield Conflict(("content",), f"{paths.quote(content)} is not what a record of type {kind} holds")


class Dns(Table):
    """The zone at Cloudflare, for the `dns` tasks; without it they refuse. The API token never stands here."""

    zone: fields.Domain
    """The zone, as in example.org."""
    api: fields.ApiUrl = "https://api.cloudflare.com/client/v4"
    """Where Cloudflare's API is."""
    records: Mapping[str, DnsRecord]

    @classmethod
    def conflicts(cls, written: dict[str, Any]) -> Iterator[Conflict]:
        """Records lie in the zone and are there once."""
        zone, records = written.get("zone"), written.get("records")
        if not isinstance(records, dict):
            return
        if not records:
            yield Conflict(("records",), "is empty: at least one record is needed")
        first: dict[tuple[str, str], str] = {}
        for name, record in records.items():
            if not isinstance(record, dict):
                continue
            kind, domain = (str(record.get(key, "")) for key in ("type", "domain"))
            path, key = ("records", name, "domain"), (kind, domain.lower())
            if domain and isinstance(zone, str) and not f".{domain}".lower().endswith(f".{zone}".lower()):
                yield Conflict(path, f"{paths.quote(domain)} is not in the zone, {zone}")
            if key in first:
                yield Conflict(path, f"dns.records.{first[key]} is the {kind} record of the same domain")
            first.setdefault(key, name)


def _kind_of(content: str) -> str:
    try:
        return f"IPv{ipaddress.ip_address(content).version}"
    except ValueError:
        return "name"
