"""The DNS records that lead to the edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from fabfile.inventory import fields
from fabfile.inventory.base import Table


class DnsRecord(Table):
    """A DNS record as it should be. `ttl` (seconds, 1 is automatic) holds while it is dns-only."""

    name: fields.Name
    type: Literal["A", "AAAA", "CNAME"]
    domain: fields.Domain
    content: fields.Address
    proxied: bool
    ttl: fields.Ttl = 1


class Dns(Table):
    """The zone at Cloudflare and the records in it that lead to the edge. `api` is where its API is."""

    zone: fields.Domain
    api: fields.ApiUrl = "https://api.cloudflare.com/client/v4"
    records: Mapping[str, DnsRecord]
