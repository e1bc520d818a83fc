"""What the checks found, for people and for programs; and what they find before a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from fabfile import public
from fabfile.console import Console
from fabfile.errors import Failed
from fabfile.inventory import Site
from fabfile.plans import decisive, edge
from fabfile.plans.plan import Plan
from fabfile.public.check import Check, mark

_NEXT_STEPS = {
    "origin": "The origin is at fault, whichever way one comes: `inv status` shows what runs on the VPS.",
    "DNS or CDN": "DNS or the CDN is at fault and the VPS is well: fix the record at your DNS provider.",
    "pinned": "The users are served, but not from where the inventory says: correct public.address.",
    "": "`inv status` shows what runs; logs: journalctl --user -u UNIT, journalctl -u UNIT, docker logs.",
}


def show(console: Console, site: Site, checks: Sequence[Check]) -> None:
    """A table, or JSON lines. Raises Failed when a check is not good, saying whose fault that is."""
    console.data("ways", dns=site.public.resolve, pinned=site.origin)
    console.table(_title(site), ("", "what", "evidence"), [(mark(c), c.name, f"{c.text} ({c.ms} ms)") for c in checks])
    for check in checks:
        console.data("public", **asdict(check))
    bad = [check for check in checks if not check.ok]
    if bad:
        faults = dict.fromkeys(check.fault for check in bad)
        raise Failed(
            f"from outside: {len(bad)} of {len(checks)} checks failed: {', '.join(check.name for check in bad)}",
            state="This command only looked; it changed nothing.",
            next_step="\n".join(_NEXT_STEPS[fault] for fault in faults),
        )


def compared(console: Console, site: Site, plan: Plan) -> Plan:
    """The plan, with the checks that are not good before it, where it is judged by what was good."""
    if not decisive.compares(plan):
        return plan
    with console.timed("public checks"):
        bad = public.not_good(intended(site, plan.settings), edge.access_lists(plan.settings))
    for check in bad:
        console.warn(f"{check.name} is not good before the plan, so it does not decide on it: {check.text}")
    return decisive.with_bad_before(plan, [check.name for check in bad])


def intended(site: Site, settings: Mapping[str, str]) -> Site:
    """The site as a plan leaves it: the API's own hostname may be closed whatever the inventory says, or open."""
    if "raw_api" not in settings:
        return site
    return site.model_copy(update={"public": site.public.model_copy(update={"raw_api": settings["raw_api"]})})


def _title(site: Site) -> str:
    if site.public.resolve:
        return f"from outside, through DNS and pinned to {site.origin}"
    return (
        f"from outside, pinned to {site.origin} alone: DNS was not asked (public.resolve is false), "
        "so that faults of DNS or of a CDN would not show"
    )
