"""What the tests of the public side ask, and how they look at what came back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fabfile import public
from fabfile.inventory import Site
from fabfile.public.endpoint import Resolver, by_dns
from fabfile.terms import Owner
from tests.support import inventories

APP, API = "flow.deltaisland.io", "api.flow.deltaisland.io"
PREFIXES = ["ws", "prints", "lookup"]
TLS_APP, TLS_API = f"TLS of {APP}", f"TLS of {API}"
PAGE, HEALTH, SOCKET = f"HEAD https://{APP}", f"GET https://{API}", "/ws/live is live"
PRINTS, LOOKUP = "/prints is the API's", "POST /lookup/options-support"
ASKED = [TLS_APP, TLS_API, PAGE, HEALTH, SOCKET, *(f"/{prefix} is the API's" for prefix in PREFIXES), LOOKUP]

Outcome = dict[str, tuple[bool, str]]  # check → good or not, evidence


def site_of(tmp_path: Path, port: int, **table: Any) -> Site:
    """An inventory whose names lead, pinned alone, to `port` of the loopback; `table` is put into [public]."""
    public_table = {
        "address": "127.0.0.1",
        "resolve": False,
        "https_port": port,
        "routes": {"prints": "/prints/options?limit=1"},
        "closed_ports": {},
        **table,
    }
    changes = {f"public.{key}": value for key, value in public_table.items()}
    edge = {"edge.api_prefixes": PREFIXES, "edge.served_by_header": "x-islandflow-runtime"}
    return inventories.site(tmp_path, {**edge, **changes})


def without_header(site: Site) -> Site:
    """The same for an app whose answers do not name their runtime."""
    return site.model_copy(update={"edge": site.edge.model_copy(update={"served_by_header": None})})


def asked(site: Site, runtime: Owner = "", resolve: Resolver = by_dns) -> Outcome:
    """Every check's outcome, by the beginning of its name where a port follows."""
    found = public.checks(site, runtime, resolve)
    return {named(site, check): (check.ok, check.text) for check in found}


def named(site: Site, check: public.Check) -> str:
    """A check's name without the port that the test's server happens to have."""
    return check.name.partition(f":{site.public.https_port}")[0]


def bad(outcome: Outcome) -> dict[str, str]:
    """What failed, and why."""
    return {name: text for name, (ok, text) in outcome.items() if not ok}


def leading_to(*addresses: str) -> Resolver:
    """A DNS in which every name has these addresses; addresses themselves stay what they are."""

    def resolve(name: str) -> Sequence[str]:
        return [name] if name[0].isdigit() else addresses

    return resolve
