"""Lists the known limitations after a plan, and the decisions that are open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fabfile.inventory import Site, placeholders
from fabfile.terms import Owner

TOKEN = "CLOUDFLARE_API_TOKEN"


@dataclass(frozen=True)
class Decision:
    """An open decision: `text` has the arguments, `issue` says where it is tracked."""

    title: str
    text: str
    issue: str = ""


def limitations(site: Site, runtime: Owner) -> Iterator[str]:
    """The limitations while `runtime` is up; empty where the runtime is unknown."""
    native, docker = site.runtimes.native, site.runtimes.docker
    sides = {"native": (native.overrides, site.app.env_file), "docker": (docker.overrides, docker.env_file)}
    overrides, env_file = sides.get(runtime, ({}, ""))
    for key, value in overrides.items():
        if placeholders.held(value):
            continue  # it follows the runtime, and limits nothing
        yield f"{key} is overridden for {runtime}: it is {value}, whatever {env_file} says"
    for name in _dns_only(site):
        yield f"{name} is DNS-only: the VPS's address is public, and no CDN is in front of it"


def open_decisions(site: Site, runtime: Owner, environ: Mapping[str, str]) -> Iterator[Decision]:
    """The decisions after a plan that ended with `runtime` up; none where it is empty."""
    if not runtime:
        return
    if runtime == "native":
        yield Decision(
            "Keep native as the default runtime, or go back",
            "`inv soak --hours 24` samples the app on the VPS and ends with a recommendation; `inv rollback --full` "
            "goes back.",
        )
    for name in _dns_only(site):
        yield Decision(
            f"The DNS posture of {name}: DNS-only, or proxied",
            "DNS-only makes the VPS's address public; proxied puts Cloudflare in front of it. "
            "`inv dns.posture --to proxied` changes it, and reverts it when the public checks fail.",
        )
    if environ.get(TOKEN):
        yield Decision(
            "Rotate the Cloudflare token, if it was made for this",
            f"{TOKEN} was set in the shell that ran this. `inv dns.verify-token` says when it expires.",
        )


def _dns_only(site: Site) -> list[str]:
    return [record.domain for record in site.dns.records.values() if not record.proxied] if site.dns else []
