"""DNS at Cloudflare: one for all, not per VPS, so these tasks take no host and the runner has no part in them."""

from __future__ import annotations

from invoke.context import Context

from fabfile.commands.options import choices, task
from fabfile.lazy import lazily
from fabfile.terms import POSTURES

with lazily():
    from fabfile.commands import dns


@task
def status(c: Context, json: bool = False) -> None:
    """Show the records that lead to the edge, and where they differ from the inventory."""
    dns.DnsOperation(json=json).status()


@task
@choices(to=POSTURES)
def posture(c: Context, to: str = "", dry: bool = False, json: bool = False) -> None:
    """Lead the records through Cloudflare's proxy or straight to the VPS; put back if the checks fail."""
    dns.DnsOperation(json=json).posture(to, dry=dry)


@task
def verify_token(c: Context, json: bool = False) -> None:
    """Ask Cloudflare whether the API token works and when it expires."""
    dns.DnsOperation(json=json).verify_token()
