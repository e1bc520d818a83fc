"""The provider of option prints, asked from the VPS."""

from __future__ import annotations

from invoke.context import Context

from fabfile.commands.options import task
from fabfile.lazy import lazily

with lazily():
    from fabfile import survey
    from fabfile.checks import provider
    from fabfile.commands import session


@task
def check(c: Context, host: str = "", json: bool = False) -> None:
    """Check that the provider accepts the owner's key, asked on the VPS; the key is never shown."""
    vps = session.begin(c, host, json=json)
    facts = vps.survey(survey.provider(vps.site))
    vps.show_checks("provider", provider.checks(vps.site, facts))
