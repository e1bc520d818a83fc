"""The DNS records that lead to the edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from fabfile.inventory import fields
from fabfile.inventory.base import Table


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


class Dns(Table):
    """The zone at Cloudflare, for the `dns` tasks; without it they refuse. The API token never stands here."""

    zone: fields.Domain
    """The zone, as in example.org."""
    api: fields.ApiUrl = "https://api.cloudflare.com/client/v4"
    """Where Cloudflare's API is."""
    records: Mapping[str, DnsRecord]
