"""Changing the posture: whether the records go through Cloudflare's proxy or lead straight to the VPS.

A change is watched from outside and put back from here. Should this machine die in between, the new records stay as
they are; `inv dns.status` shows that.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, NoReturn

from fabfile import public
from fabfile.cloudflare import records
from fabfile.cloudflare.client import Api
from fabfile.cloudflare.records import Look
from fabfile.cloudflare.schema import Record, posture, seconds
from fabfile.cloudflare.token import VARIABLE
from fabfile.console import Console
from fabfile.errors import CutoverError, DnsFailed, DnsManualInterventionRequired, Interrupted, PreflightRefused
from fabfile.inventory import Site

_LOOK: Final = "inv dns.status shows what is there."
_AUTOMATIC: Final = 300  # seconds that Cloudflare means by a TTL of 1


@dataclass(frozen=True)
class Change:
    """A record as it was, and the fields of it that become different."""

    record: Record
    fields: dict[str, Any]

    @property
    def former(self) -> dict[str, Any]:
        """The same fields as they were."""
        return {name: getattr(self.record, name) for name in self.fields}

    def describe(self) -> str:
        """In a line, as in: a.example A 192.0.2.1: proxied → dns-only, TTL automatic → 300 s."""
        steps = []
        if "proxied" in self.fields:
            steps.append(f"{posture(self.former['proxied'])} → {posture(self.fields['proxied'])}")
        if "ttl" in self.fields:
            steps.append(f"TTL {seconds(self.former['ttl'])} → {seconds(self.fields['ttl'])}")
        return f"{self.record.name} {self.record.type} {self.record.content}: {', '.join(steps)}"


def changes(look: Look, to: str) -> list[Change]:
    """What differs from the posture `to`. Raises PreflightRefused where a record can't be told to be ours."""
    if look.problems:
        raise PreflightRefused(look.problems)
    proxied = to == "proxied"
    pending = []
    for found in look.found:
        wanted = {"proxied": proxied, "ttl": 1 if proxied else found.expected.ttl}
        if found.record:
            fields = {name: value for name, value in wanted.items() if getattr(found.record, name) != value}
            pending.append(Change(found.record, fields))
    return [change for change in pending if change.fields]


class Switch:
    """One change of posture, from the first record to the last check."""

    def __init__(self, site: Site, api: Api, look: Look, console: Console) -> None:
        self._site = site
        self._api = api
        self._zone = look.zone
        self._records = {found.record.id: found.record for found in look.found if found.record}
        self._console = console
        self._made: list[Change] = []

    def carry_out(self, pending: Iterable[Change], to: str) -> None:
        """Change the records and watch the public side until it is good or `timeouts.confirm` is over.

        Whatever goes wrong, Ctrl-C included, the former records are put back. Raises DnsFailed or Interrupted when
        everything is as before, DnsHandsNeeded when it is not.
        """
        try:
            for change in pending:
                self._made.append(change)  # before it is asked for: the answer may be lost, and the change made
                self._write(change.record, change.fields)
                self._console.progress(f"✓ {change.describe()}")
                self._console.data("changed", domain=change.record.name, fields=change.fields)
            bad = self._watch(to)
        except CutoverError as error:
            self._put_back(error.message, error.next_step)
        except KeyboardInterrupt:
            self._put_back("interrupted", interrupted=True)
        else:
            if bad:
                why = f"the public checks fail with the new records: {', '.join(bad)}"
                self._put_back(why, "Fix what fails; inv public.check asks it at any time.", check=True)

    def _write(self, record: Record, fields: dict[str, Any]) -> None:
        now = self._api.one(Record, "PATCH", records.path_of(self._zone, record), json=fields)
        self._records[now.id] = now
        if not _holds(now, fields):
            raise DnsFailed(f"Cloudflare took the change of {record.name}, but the record is: {now}", next_step=_LOOK)

    def _watch(self, to: str) -> list[str]:
        """The public checks that still fail at the deadline."""
        if not self._site.public.resolve:
            pinned = self._site.origin
            self._console.warn(f"public.resolve is false: the checks go to {pinned} and don't see what DNS says")
        elif to == "proxied":
            ttl = max(_AUTOMATIC if change.record.ttl == 1 else change.record.ttl for change in self._made)
            self._console.progress(
                f"Resolvers may give the former answer for another {ttl} s, to these checks as well."
            )
        return self._check(self._site.timeouts.confirm)

    def _as_users_come(self) -> Site:
        """The site, pinned to where the records lead when they are dns-only and lead to one address.

        A resolver may go on giving Cloudflare's address for minutes: only the records' own tells what users will meet.
        """
        there, edge, public_side = self._records.values(), self._site.edge, self._site.public
        contents = {record.content for record in there}
        known = {edge.app_domain, edge.api_domain} <= {record.name for record in there}
        if not public_side.resolve or not known or len(contents) > 1 or any(record.proxied for record in there):
            return self._site
        pinned = public_side.model_copy(update={"address": contents.pop(), "resolve": False})
        return self._site.model_copy(update={"public": pinned})

    def _check(self, limit: float) -> list[str]:
        checks = public.until_good(self._as_users_come(), "", limit, through_dns=True)
        bad = [check for check in checks if not check.ok]
        for check in checks:
            self._console.data("public", **asdict(check))
        self._console.progress(f"public checks: {len(checks) - len(bad)} of {len(checks)} good")
        for check in bad:
            self._console.progress(f"  ✗ {check.name}: {check.text}")
        return [check.name for check in bad]

    def _put_back(self, why: str, next_step: str = "", *, interrupted: bool = False, check: bool = False) -> NoReturn:
        lost = {}
        for change in reversed(self._made):
            try:
                self._restore(change)
            except CutoverError as error:
                lost[change.record.id] = error.message
            except KeyboardInterrupt:
                lost[change.record.id] = "interrupted"
        if lost:
            raise self._stuck(why, lost)
        now = "\n".join(["Everything is as before:", *(str(change.record) for change in self._made)])
        if interrupted:
            raise Interrupted(state=now)
        if check:
            now += f"\n{self._outside()}"
        raise DnsFailed(why, state=now, next_step=next_step)

    def _restore(self, change: Change) -> None:
        where = records.path_of(self._zone, change.record)
        if not _holds(self._api.one(Record, "GET", where), change.former):
            self._write(change.record, change.former)
            now = self._api.one(Record, "GET", where)
            if not _holds(now, change.former):
                raise DnsFailed(f"it was written, but the record is: {now}", next_step=_LOOK)
        self._console.progress(f"↶ put back: {change.record}")
        self._console.data("put_back", domain=change.record.name, fields=change.former)

    def _outside(self) -> str:
        """How the public side is with the former records."""
        if self._check(self._site.timeouts.edge):
            return "The public checks fail with the former records, too, so look beyond this change."
        return "The public checks pass again."

    def _stuck(self, why: str, lost: dict[str, str]) -> DnsManualInterventionRequired:
        stuck = [change for change in self._made if change.record.id in lost]
        return DnsManualInterventionRequired(
            f"{why}, and putting back failed too: {'; '.join(lost.values())}",
            now=[self._as_it_is(change) for change in stuck],
            fix=[self._fix(change) for change in stuck],
        )

    def _as_it_is(self, change: Change) -> str:
        try:
            now = self._api.one(Record, "GET", records.path_of(self._zone, change.record))
        except (CutoverError, KeyboardInterrupt):
            return f"perhaps changed, can't be asked: {change.describe()}"
        return f"{now} (before: {change.record})"

    def _fix(self, change: Change) -> str:
        """A shell's own printf hands curl the header: the token is in no argument list."""
        dns = self._site.dns
        url = f"{dns.api if dns else ''}{records.path_of(self._zone, change.record)}"
        words = ["curl", "-K", "-", "-X", "PATCH", "-H", "Content-Type: application/json"]
        words += ["-d", json.dumps(change.former), url]
        return f"""printf 'header = "Authorization: Bearer %s"\\n' "${VARIABLE}" | {shlex.join(words)}"""


def _holds(record: Record, fields: dict[str, Any]) -> bool:
    return all(getattr(record, name) == value for name, value in fields.items())
