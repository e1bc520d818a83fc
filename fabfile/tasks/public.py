"""The public side, asked from here."""

from __future__ import annotations

from invoke.context import Context

from fabfile.commands.options import task
from fabfile.lazy import lazily

with lazily():
    import fabfile.commands.public
    from fabfile import console, public
    from fabfile.commands import session


@task
def check(c: Context, host: str = "", json: bool = False) -> None:
    """Check from outside that all that is public answers as it should, and that the rest is closed."""
    site = session.site_of(host)
    fabfile.commands.public.show(console.Console(json=json), site, public.checks(site))
