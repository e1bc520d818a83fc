"""What a plan prints for a workflow of GitHub, Forgejo or Gitea: groups of its log, and a summary of the step.

All three set the same variables. The line for what went wrong is in fabfile/output.py, with all other errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from fabfile.console import Console
from fabfile.output import runs_in_workflow
from fabfile.record import Document, page
from fabfile.runner.wire.events import Event

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file to which a step adds its summary."""


class Groups:
    """Puts what is printed of each phase of a plan into a group; where no workflow runs it prints nothing."""

    def __init__(self, console: Console, environ: Mapping[str, str]) -> None:
        self._console = console
        self._on = runs_in_workflow(environ)
        self._plan = self._phase = self._next = ""

    def __enter__(self) -> Groups:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._begin("")

    def event(self, event: Event) -> None:
        """Begin the phase that the event belongs to; goes before the event is printed."""
        hold, phase = event.evidence.get("hold"), self._next or self._phase
        self._next = ""
        if event.kind == "start" and event.step is None:
            self._plan, phase = str(event.evidence.get("name", "")), "before anybody waits"
        elif event.kind == "start" and hold == "begins":
            phase = "requests wait"
        elif event.kind == "done" and hold == "ends":
            self._next = "requests are served again"  # from the next event on
        elif event.kind == "waiting":
            phase = "public checks"
        elif event.kind in ("undo", "undone"):
            phase = "undo"
        self._begin("" if event.kind == "finished" else phase)

    def _begin(self, phase: str) -> None:
        if phase == self._phase or not self._on:
            return
        if self._phase:
            self._console.progress("::endgroup::")
        if phase:
            self._console.progress(f"::group::{self._plan}: {phase}")
        self._phase = phase


def summarize(document: Document, console: Console, environ: Mapping[str, str]) -> None:
    """Add the outline of a plan's record to the summary of the workflow's step; a fault of that is a warning."""
    file = environ.get(SUMMARY, "")
    if not (file and runs_in_workflow(environ)):
        return
    try:
        with open(file, "a", encoding="utf-8") as summary:
            summary.write(page.outline(document) + "\n")
    except OSError as error:
        console.warn(f"the summary of this step could not be written to {file}: {error.strerror}")
