"""What a task works with: the inventory, a host and a console; and what every check does with its rows."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from fabfile import inventory
from fabfile.commands import locate
from fabfile.console import Console
from fabfile.errors import Failed
from fabfile.inventory import Site
from fabfile.lazy import lazily, load
from fabfile.remote import openssh
from fabfile.remote.host import Host
from fabfile.remote.target import select_host
from fabfile.runner.wire.facts import Facts, FactsRequest

# Loaded once the connection is being made or the VPS looks, see `survey()`.
with lazily():
    from fabfile import survey

Row = tuple[str, bool | None, str]  # what, good or not (None: can't be told), evidence

_MARKS = {True: "✓", False: "✗", None: "!"}
_LOGS_HINT = "`inv status` shows what runs; logs: journalctl --user -u UNIT, journalctl -u UNIT, docker logs."
_NO_ANSWER = "could not be asked: `inv status` says why"


def load_site() -> Site:
    """The inventory of this command: chosen.py says which. Raises InventoryError, or UsageError where there is none."""
    return inventory.load(locate.inventory_file(os.environ), os.environ)


def site_of(host: str) -> Site:
    """The inventory of this command, as that of one host by its name: the public checks, too, are then of that host.

    Raises as `load_site` does, and UsageError for a host that the inventory does not have.
    """
    site = load_site()
    return site.model_copy(update={"default_host": site.host(host).name}) if host else site


@dataclass(frozen=True)
class Session:
    """One task on one host: where it looks, what it works on, and where it prints."""

    site: Site
    host: Host
    console: Console

    def survey(self, request: FactsRequest | None = None, then: Sequence[ModuleType] = ()) -> Facts:
        """Facts about the host; without a request all that plans judge by. Raises Unreachable.

        `then` are the modules that will judge them; they are loaded while the VPS looks.
        """
        self.host.connect()
        with self.console.timed("survey"):
            facts = self.host.survey(request or survey.request(self.site), lambda: load(*then))
        if self.host.is_here:
            _warn_here(self.console)
        return facts

    def show_checks(self, title: str, rows: Iterable[Row], next_step: str = _LOGS_HINT) -> None:
        """Show a check's rows. Raises Failed, with what to do next, when one is not good."""
        entries = list(rows)
        self.console.table(title, ("", "what", "evidence"), [(_MARKS[ok], what, text) for what, ok, text in entries])
        for what, ok, text in entries:
            self.console.data("check", what=what, ok=ok, text=text)
        bad = [what for what, ok, _ in entries if ok is False]
        if bad:
            raise Failed(
                f"{title}: {len(bad)} of {len(entries)} checks failed: {', '.join(bad)}",
                state="This command only looked; it changed nothing.",
                next_step=next_step,
            )

    def check_health(self, title: str, request: FactsRequest) -> None:
        """Survey the health of workloads and show it. Raises Failed when one is not healthy."""
        health = self.survey(request).health
        keys = [f"{workload.runtime}/{workload.name}" for workload in request.workloads]
        rows = [(key, health[key].ok, health[key].text) if key in health else (key, False, _NO_ANSWER) for key in keys]
        self.show_checks(title, rows)


def begin(context: Any, host: str = "", *, json: bool = False) -> Session:
    """The session of a task; `host` is a name of the inventory, its default if empty. It connects when it first looks.

    Raises InventoryError, or UsageError for a host that the inventory does not have.
    """
    site, console = site_of(host), Console(json=json)
    warn_without_openssh(console)
    return Session(site, select_host(context, site, host or None), console)


@functools.cache
def _warn_here(console: Console) -> None:
    """Say once what counts where the tool runs on the VPS itself."""
    console.warn(
        "this machine is the VPS: the public checks are made from it, and a plan is confirmed without proof that one "
        "can still log in from elsewhere"
    )


def warn_without_openssh(console: Console) -> None:
    """Say what counts for the log-in where this machine has no OpenSSH client."""
    if not openssh.available():
        console.warn(openssh.WITHOUT_CLIENT)
