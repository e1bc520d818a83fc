"""The public side, asked from here."""

from __future__ import annotations

from typing import Any

from fabfile import public
from fabfile.operation import load_site, report_checks
from fabfile.options import task
from fabfile.report import Report


@task
def check(c: Any, json: bool = False) -> None:
    """Check from outside that the app, the API, every API prefix and the websocket answer as they should."""
    site = load_site()
    found = public.checks(site)
    report_checks(Report(json=json), "from outside", [(f.name, f.ok, f"{f.text} ({f.ms} ms)") for f in found])
