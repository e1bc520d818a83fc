"""What can be checked without starting anything."""

from __future__ import annotations

from invoke.context import Context

from fabfile.commands.options import task
from fabfile.lazy import lazily

with lazily():
    import fabfile.checks.environment
    import fabfile.checks.static
    from fabfile import survey
    from fabfile.commands import session


@task
def static(c: Context, host: str = "", json: bool = False) -> None:
    """Check Compose file, image snapshot, rendered units, shell scripts and nginx; installs nothing."""
    vps = session.begin(c, host, json=json)
    vps.show_checks("static", fabfile.checks.static.checks(vps.site, vps.survey(survey.static(vps.site))))


@task
def environment(c: Context, host: str = "", json: bool = False) -> None:
    """Compare the settings that Compose and systemd give each service; no value is shown."""
    vps = session.begin(c, host, json=json)
    vps.show_checks("environment", fabfile.checks.environment.checks(vps.site, vps.survey(survey.settings(vps.site))))
