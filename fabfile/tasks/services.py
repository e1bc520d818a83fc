"""The app's services and servers as they run, whichever runtime owns."""

from __future__ import annotations

from invoke.context import Context

from fabfile.commands.options import help_texts, task
from fabfile.lazy import lazily

with lazily():
    import fabfile.commands.services.logs
    from fabfile.commands import session


@task
@help_texts(service="which services and servers, several with commas; all of them if left out")
def logs(
    c: Context,
    service: str = "",
    follow: bool = False,
    since: str = "",
    grep: str = "",
    lines: str = "",
    host: str = "",
    json: bool = False,
) -> None:
    """Show what the owner's services log, in the order of time; with --follow as it comes, until Ctrl-C.

    It shows the last 100 lines, or with --since all of that time. What looks like a secret is masked.
    """
    selection = fabfile.commands.services.logs.Selection.of(since, lines, grep)
    fabfile.commands.services.logs.show(session.begin(c, host, json=json), service, selection, follow=follow)
