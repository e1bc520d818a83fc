"""The app's services and servers as they run, whichever runtime owns."""

from __future__ import annotations

import sys

from invoke.context import Context
from invoke.exceptions import Exit

from fabfile.commands.options import help_texts, task
from fabfile.commands.services.rest import rest_of_line, takes_rest
from fabfile.errors import UsageError
from fabfile.lazy import lazily

with lazily():
    import fabfile.commands.services.command
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


@task
@takes_rest
@help_texts(service="beside which service or server")
def execute(c: Context, service: str = "", interactive: bool = False, host: str = "", json: bool = False) -> None:
    """Run the command behind -- beside a service: with its environment, its user and its folder.

    As in: inv exec --service api -- env. It runs in the owner's runtime, and its exit code is this command's.
    """
    vps, argv = session.begin(c, host, json=json), rest_of_line()
    if not argv:
        raise UsageError("exec has no command", next_step="Put it behind --, as in inv exec --service api -- env.")
    if not service:
        raise UsageError("exec needs a service", next_step="Name one, as in inv exec --service api -- env.")
    if interactive and (json or not (sys.stdin.isatty() and sys.stdout.isatty())):
        raise UsageError(
            "--interactive needs a terminal" + (", and excludes --json" if json else ""),
            next_step="Leave it out: input and output are passed on without it as well.",
        )
    code = fabfile.commands.services.command.run(vps, service, argv, interactive=interactive)
    if code:
        raise Exit(code=code)
