"""The public side, asked from here."""

from __future__ import annotations

from invoke.context import Context

from fabfile import public
from fabfile.commands.options import task
from fabfile.commands.public import show
from fabfile.commands.session import load_site
from fabfile.console import Report


@task
def check(c: Context, json: bool = False) -> None:
    """Check from outside that all that is public answers as it should, and that the rest is closed."""
    site = load_site()
    show(Report(json=json), site, public.checks(site))
