"""What every dns task does: inventory, token, look, change; there is no VPS in it."""

from __future__ import annotations

from fabfile import resources
from fabfile.cloudflare import records, token
from fabfile.cloudflare.client import Api
from fabfile.cloudflare.records import Found
from fabfile.cloudflare.schema import posture, seconds
from fabfile.cloudflare.switch import Change, Switch, changes
from fabfile.cloudflare.token import ADVICE, Token
from fabfile.commands.session import load_site
from fabfile.console import Console
from fabfile.errors import DnsFailed, UsageError
from fabfile.inventory import Dns

_COLUMNS = ("", "domain", "type", "content", "posture", "TTL")


class DnsOperation:
    """One task at Cloudflare. Raises InventoryError, or UsageError without [dns] or a token."""

    def __init__(self, *, json: bool = False) -> None:
        self._site = load_site()
        self._dns = _required(self._site.dns)
        self._console = Console(json=json)
        self._api = Api(self._dns.api, token.obtain(), self._waiting)

    def status(self) -> None:
        """Show every record against the inventory. Raises DnsFailed when one differs."""
        lookup = records.look(self._api, self._dns)
        title = f"zone {lookup.zone.name} ({lookup.zone.status})"
        self._console.table(title, _COLUMNS, [_row(entry) for entry in lookup.found])
        for entry in lookup.found:
            self._show_record(entry)
        differing = [entry.expected.domain for entry in lookup.found if entry.problems or entry.differences]
        if lookup.zone.status != "active":
            differing.insert(0, f"the zone {lookup.zone.name}")
        if differing:
            raise DnsFailed(
                f"not as the inventory says: {', '.join(dict.fromkeys(differing))}",
                state="This command only looked; it changed nothing.",
                next_step="inv dns.posture --to … changes posture and TTL; whatever else is wrong, correct it at "
                "Cloudflare or in [dns] of the inventory.",
            )

    def posture(self, to: str, *, dry: bool) -> None:
        """Give all records the posture `to`, or show what that would change.

        Raises PreflightRefused where a record can't be told to be ours, and whatever Switch.carry_out raises.
        """
        lookup = records.look(self._api, self._dns)
        pending = changes(lookup, to)
        if not pending:
            self._console.say(f"dns.posture: nothing to do, all {len(lookup.found)} records are {to} already.")
            self._console.data("nothing", name="dns.posture", no_ops={})
            return
        if dry:
            self._show(pending)
            return
        summary = self._token_summary()
        self._console.progress(f"token: {summary}")
        self._console.data("token", text=summary)
        Switch(self._site, self._api, lookup, self._console).carry_out(pending, to)
        self._console.say(f"dns.posture: {len(pending)} records are {to} now.")
        for entry in lookup.found:
            if posture(entry.expected.proxied) != to:
                stale = (
                    f"dns.records.{entry.expected.name} in the inventory still says {posture(entry.expected.proxied)}"
                )
                self._console.warn(f"{stale}: write down what is to stay")
        self._console.warn(ADVICE)

    def verify_token(self) -> None:
        """Show what the token is worth. Raises DnsFailed when it can't be used now."""
        current = self._token()
        self._console.say(f"token: {current.describe()}")
        expires = current.expires_on.isoformat() if current.expires_on else None
        self._console.data("token", text=current.describe(), status=current.status, expires_on=expires, ok=current.good)
        self._console.warn(ADVICE)
        if not current.good:
            raise DnsFailed(
                f"the token can't be used: {current.describe()}",
                next_step="Create another at Cloudflare, My Profile, API Tokens, with Zone:Read and DNS:Edit for the "
                "zone and a date on which it expires.",
            )

    def _token(self) -> Token:
        return self._api.one(Token, "GET", "/user/tokens/verify")

    def _token_summary(self) -> str:
        """An account's own tokens can't be asked about this way, and work all the same."""
        try:
            return self._token().describe()
        except DnsFailed as error:
            return f"when it expires can't be told: {error.message}"

    def _show(self, pending: list[Change]) -> None:
        for change in pending:
            self._console.say(change.describe())
            self._console.data("change", domain=change.record.name, former=change.former, fields=change.fields)
        limit = self._site.timeouts.confirm
        self._console.say(f"Then the public checks run from here; unless they pass within {limit:g} s, it is put back.")

    def _show_record(self, entry: Found) -> None:
        for text in (*entry.problems, *(f"{entry.expected.domain}: {text}" for text in entry.differences)):
            self._console.say(f"  ✗ {text}")
        self._console.data(
            "dns_record",
            name=entry.expected.name,
            expected=entry.expected.model_dump(mode="json", exclude={"name"}),
            found=entry.record.model_dump(mode="json", exclude={"id"}) if entry.record else None,
            problems=[*entry.problems, *entry.differences],
        )

    def _waiting(self, text: str) -> None:
        self._console.progress(f"… {text}")
        self._console.data("retry", text=text)


def _row(entry: Found) -> tuple[str, ...]:
    expected, record = entry.expected, entry.record
    good = not (entry.problems or entry.differences)
    actual = (record.content, posture(record.proxied), seconds(record.ttl)) if record else ("?", "?", "?")
    return ("✓" if good else "✗", expected.domain, expected.type, *actual)


def _required(dns: Dns | None) -> Dns:
    if dns is None:
        raise UsageError(
            "the inventory has no [dns]: it does not say which records lead to the edge",
            next_step=f"Write [dns] as {resources.INVENTORY} shows it.",
        )
    return dns
