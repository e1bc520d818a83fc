"""Watching the owner's JetStream while something else changes the VPS."""

from __future__ import annotations

import contextlib

from fabfile import output, survey
from fabfile.checks.streams import Positions
from fabfile.commands.session import Session


def watch(session: Session, seconds: float) -> None:
    """Show each change of the owner's JetStream for `seconds`, until Ctrl-C when that is 0, and sum up what was seen.

    Raises Failed when a position moved back, something was skipped, or nobody answers in the end.
    """
    positions = Positions()
    with contextlib.suppress(KeyboardInterrupt):
        for at, observation in session.host.positions(survey.streams_ref(session.site), seconds):
            for text in positions.observe(at, observation):
                session.console.say(f"{at:6.1f} s  {text}")
                session.console.data("moment", at=at, text=text)
            if output.reader_is_gone():
                break
    session.show_checks("positions", positions.rows())
