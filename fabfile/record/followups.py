"""What a plan leaves to people: the limits of what now stands, and the decisions that are open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fabfile.inventory import Site, placeholders
from fabfile.terms import Owner

TOKEN = "CLOUDFLARE_API_TOKEN"


@dataclass(frozen=True)
class Decision:
    """A question that somebody must answer: `title` says it, `text` what speaks for what, `issue` where it is kept."""

    title: str
    text: str
    issue: str = ""


def limitations(site: Site, runtime: Owner) -> Iterator[str]:
    """What does not show while all is well, with `runtime` up; empty when nobody can tell which one is."""
    native, docker = site.runtimes.native, site.runtimes.docker
    sides = {"native": (native.overrides, site.app.env_file), "docker": (docker.overrides, docker.env_file)}
    overrides, env_file = sides.get(runtime, ({}, ""))
    for key, value in overrides.items():
        if placeholders.held(value):
            continue  # it follows the runtime, and limits nothing
        yield f"{key} is overridden for {runtime}: it is {value}, whatever {env_file} says"
    for name in _dns_only(site):
        yield f"{name} is DNS-only: it tells everybody the VPS's address, and no CDN stands before it"


def open_decisions(site: Site, runtime: Owner, environ: Mapping[str, str]) -> Iterator[Decision]:
    """What is to be decided after a plan that led to `runtime`; nothing where it is empty."""
    if not runtime:
        return
    if runtime == "native":
        yield Decision(
            "Keep native as the default runtime, or go back",
            "`inv soak --hours 24` looks on from the VPS and ends in a recommendation; the way back is "
            "`inv rollback --full`.",
        )
    for name in _dns_only(site):
        yield Decision(
            f"The DNS posture of {name}: DNS-only, or proxied",
            "DNS-only shows the VPS's address to everybody; proxied puts Cloudflare before it. "
            "`inv dns.posture --to proxied` changes it, and back when the public checks fail.",
        )
    if environ.get(TOKEN):
        yield Decision(
            "Rotate the Cloudflare token, if it was made for this",
            f"{TOKEN} was set in the shell that ran this. `inv dns.verify-token` says until when it lives.",
        )


def _dns_only(site: Site) -> list[str]:
    return [record.domain for record in site.dns.records.values() if not record.proxied] if site.dns else []
