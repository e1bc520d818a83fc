"""The public side, asked from here."""

from __future__ import annotations

from typing import Any

from fabfile import public
from fabfile.operation import load_site
from fabfile.options import task
from fabfile.report import Report


@task
def check(c: Any, json: bool = False) -> None:
    """Check from outside that all that is public answers as it should, and that the rest is closed."""
    site = load_site()
    public.show(Report(json=json), site, public.checks(site))
