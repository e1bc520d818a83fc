"""JetStream: the app's streams and durables."""

from __future__ import annotations

from invoke.context import Context

from fabfile.commands.options import duration, task
from fabfile.lazy import lazily

with lazily():
    import fabfile.commands.streams
    from fabfile import survey
    from fabfile.checks import streams
    from fabfile.commands import session


@task
def check(c: Context, host: str = "", json: bool = False) -> None:
    """Check streams' limits against the environment, and that every durable is bound to its service."""
    vps = session.begin(c, host, json=json)
    facts = vps.survey(survey.streams(vps.site))
    vps.show_checks("streams", streams.checks(vps.site, facts))


@task
def watch(c: Context, seconds: str = "", host: str = "", json: bool = False) -> None:
    """Watch through a hand-over that streams and durables only move forward; Ctrl-C ends it and sums up.

    Run it in a second terminal. It ends with 1 when a position moved back or a message was skipped.
    """
    limit = duration(seconds)
    fabfile.commands.streams.watch(session.begin(c, host, json=json), limit)
