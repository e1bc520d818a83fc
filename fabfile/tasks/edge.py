"""What the edge answers by itself."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from invoke.context import Context

from fabfile.commands.options import help_texts, task
from fabfile.errors import UsageError
from fabfile.lazy import lazily

with lazily():
    from fabfile.checks import preflight
    from fabfile.checks.maintenance import state
    from fabfile.commands import apply
    from fabfile.plans import edge, plan
    from fabfile.runner.wire.edge import Maintenance

if TYPE_CHECKING:
    from fabfile.runner.wire.facts import Facts


@task
@help_texts(
    on="answer 503",
    off="send requests on again",
    message="with --on: what users read, one line",
    until="with --on: when it is expected to end, by the VPS's clock, as 04:00; it ends only with --off",
)
def maintenance(
    c: Context,
    on: bool = False,
    off: bool = False,
    message: str = "",
    until: str = "",
    host: str = "",
    dry: bool = False,
    wait: bool = False,
    json: bool = False,
) -> None:
    """Answer the app's hostnames with 503 and a page, or JSON for the API; --off sends requests on again."""
    if on == off:
        raise UsageError("edge.maintenance takes one of --on and --off", next_step="inv status shows what is on.")
    if off and (message or until):
        raise UsageError("--message and --until go with --on", next_step="inv edge.maintenance --off needs neither.")
    if until and not state.is_time(until):
        raise UsageError(f"--until {until!r} is no time of day", next_step="Say it by the VPS's clock, as 04:00.")
    operation = apply.Operation(c, host, dry=dry, wait=wait, json=json)
    words = functools.partial(_words, on, message, until)
    operation.apply(
        lambda site, facts: plan.Plan(
            "edge.maintenance",
            edge.maintain(site, facts, words(facts)),
            settings={"maintenance": "on" if on else "off"},
        ),
        judge=lambda site, facts: (
            preflight.edge_problems(edge.maintain(site, facts, words(facts)), facts) + state.refusals(message)
        ),
    )


def _words(on: bool, message: str, until: str, facts: Facts) -> Maintenance | None:
    """The maintenance that begins now; None without `on`."""
    if not on:
        return None
    return Maintenance(int(facts.host.time), state.until(until, facts.host) if until else 0.0, message)
