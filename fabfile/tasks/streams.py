"""JetStream: the app's streams and durables."""

from __future__ import annotations

from typing import Any

from fabfile import survey
from fabfile.operation import Operation
from fabfile.options import task
from fabfile.plans import streams


@task
def check(c: Any, host: str = "", json: bool = False) -> None:
    """Check streams' limits against the environment, and that every durable is bound to its service."""
    operation = Operation(c, host, json=json)
    facts = operation.survey(survey.streams(operation.site))
    operation.checked("streams", streams.checks(operation.site, facts))
