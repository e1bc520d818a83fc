"""Works out how a hostname's row and file have to change to send it to another upstream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from ..system.machine import StepFailed
from ..wire.codec import wire
from ..wire.edge import HostFact, ProxyHost, Upstream, Values
from . import backup, hostfile
from .database import COLUMNS
from .hostfile import digest
from .nginx import ParseError, parse
from .routes import Drift, managed_block, managed_config, route_blocks
from .routing import destinations

REQUIRED, KEEP, OPEN, CLOSED = "required", "keep", "open", "closed"


@wire
@dataclass(frozen=True)
class EdgeHost:
    """The upstream that one hostname shall get.

    `routes` are path prefixes with an upstream of their own. `probe_path` is requested from the new upstream before
    the switch and through the edge after it; if empty, a connection has to do before, and nothing is requested
    after. `expect_header` ("name: value") must be in those answers. `exposure` says whether the host is public: it
    must be enabled already (`required`), stays as it is (`keep`), or becomes `open` or `closed`.
    """

    domain: str
    upstream_host: str
    upstream_port: int
    routes: tuple[str, ...] = ()
    route_host: str = ""
    route_port: int = 0
    probe_path: str = "/"
    expect_header: str = ""
    exposure: str = REQUIRED

    @property
    def upstream(self) -> Upstream:
        return Upstream(self.upstream_host, self.upstream_port)

    @property
    def block(self) -> str:
        """The managed block for advanced_config; empty without routes."""
        if not self.routes:
            return ""
        return managed_block(self.routes, Upstream(self.route_host, self.route_port))

    def __str__(self) -> str:
        routes = f" ({len(self.routes)} prefixes at {self.route_host}:{self.route_port})" if self.routes else ""
        exposed = f", {self.exposure}" if self.exposure in (OPEN, CLOSED) else ""
        return f"{self.domain} at {self.upstream}{routes}{exposed}"


class HostSummary(TypedDict):
    """A host's change, for the journal: upstreams and digests."""

    row: int
    row_was: str
    row_becomes: str
    enabled_was: bool
    enabled_becomes: bool
    advanced_was: str
    file: str
    file_was: str
    file_becomes: str


@dataclass(frozen=True)
class HostChange:
    """A change of one host: its row's values and its file's text, before and after."""

    host: EdgeHost
    fact: HostFact
    row: ProxyHost
    values: Values
    text: str | None  # empty: no file; None: only NPM itself can make it

    @property
    def same(self) -> bool:
        """Whether row and file are already as the change would leave them."""
        return self.values == self.row.values and self.text == self.fact.text

    def diffs(self) -> list[tuple[str, str, str]]:
        """Return what would change, for people: (title, before, after) of the row's columns and of the file."""
        title = f"proxy_host row {self.row.id} ({self.host.domain})"
        text = "as NPM writes it\n" if self.text is None else self.text
        pairs = [(title, _columns(self.row.values), _columns(self.values)), (self.fact.path, self.fact.text, text)]
        return [pair for pair in pairs if pair[1] != pair[2]]

    def summary(self) -> HostSummary:
        """Return upstreams and digests for the journal. The texts themselves may hold an operator's secrets."""
        return {
            "row": self.row.id,
            "row_was": self.row.place,
            "row_becomes": self.values.place,
            "enabled_was": self.row.enabled,
            "enabled_becomes": self.values.enabled,
            "advanced_was": digest(self.row.advanced),
            "file": self.fact.path,
            "file_was": digest(self.fact.text) if self.fact.text else "",
            "file_becomes": digest(self.text) if self.text else "",
        }


def planned_change(host: EdgeHost, fact: HostFact, by_npm: bool = False) -> HostChange:
    """Return the change that points `host` to its upstream; `by_npm`: NPM itself will write the file.

    Raises StepFailed where there is no safe change.
    """
    if fact.problem or fact.row is None:
        raise StepFailed(fact.problem or f"the edge's facts have no row of {host.domain}")
    row = fact.row
    try:
        advanced = managed_config(row.advanced, host.block) if host.routes else row.advanced
        upstream, enabled = host.upstream, _enabled_after(host, fact, row)
        websocket = backup.exposed_row(row).websocket if enabled else row.websocket
        values = Values(upstream.scheme, upstream.host, upstream.port, advanced, enabled, websocket)
        if row.points_nowhere and not enabled:  # on purpose it leads nowhere
            values = row.values
        text = _file_text(fact, row, values, by_npm, may_close=host.exposure == KEEP)
        if text:
            _require_led(host, fact, text)
        return HostChange(host, fact, row, values, text)
    except ParseError as error:
        raise Drift(f"{host.domain}: its advanced_config is not complete directives: {error}") from error


def target_of(domain: str, row: ProxyHost, prefixes: tuple[str, ...], probe_path: str) -> EdgeHost:
    """Return a row's upstream, with those of the prefixes that its advanced_config routes."""
    exposure = OPEN if row.enabled else CLOSED
    blocks = route_blocks(parse(row.advanced))
    block = next((block for block in blocks if block.upstream and set(prefixes).intersection(block.prefixes)), None)
    if block is None or block.upstream is None:
        return EdgeHost(domain, row.host, row.port, probe_path=probe_path, exposure=exposure)
    routes = tuple(prefix for prefix in block.prefixes if prefix in prefixes)
    route = block.upstream
    return EdgeHost(domain, row.host, row.port, routes, route.host, route.port, probe_path, exposure=exposure)


def restoring_change(host: EdgeHost, fact: HostFact, former: ProxyHost, text: str) -> HostChange:
    """Return the change that restores a former row; `text` is its former file, if that still fits the row.

    Raises StepFailed where there is no safe change.
    """
    if fact.row is None:
        raise StepFailed(fact.problem)
    values = backup.restored_row(fact.row, former).values
    try:
        if fact.problem:  # of the file alone
            raise Drift(fact.problem)
        return HostChange(host, fact, fact.row, values, _file_text(fact, fact.row, values, by_npm=False))
    except Drift:
        if not text:
            raise
        return HostChange(host, fact, fact.row, values, text)


def _enabled_after(host: EdgeHost, fact: HostFact, row: ProxyHost) -> bool:
    """Whether the change leaves the host enabled. Raises Drift where the operator must decide that first."""
    if host.exposure in (OPEN, CLOSED):
        return host.exposure == OPEN
    if not row.enabled and host.exposure == REQUIRED:
        raise Drift(f"proxy host {row.id} ({host.domain}) is disabled: enable it in Nginx Proxy Manager first")
    if not row.enabled and fact.text:
        raise Drift(f"{fact.drift[0]}: decide with `npm.switch --raw-api open` or `--raw-api closed`")
    return row.enabled


def _require_led(host: EdgeHost, fact: HostFact, text: str) -> None:
    """Raise Drift where a location of the file would keep requests from where the change points the host."""
    path = host.probe_path.split("?")[0]
    problems = destinations.unled(text, fact.path, fact.includes, host.domain, host.routes, path, fact.text)
    if problems:
        raise Drift("; ".join(problems))


def _file_text(fact: HostFact, row: ProxyHost, values: Values, by_npm: bool, may_close: bool = False) -> str | None:
    """Return the file for a row of these values. Raises Drift where that is unknown and NPM will not write it."""
    if not values.enabled:
        return ""
    if fact.text and row.certificate and not hostfile.serves_tls(hostfile.server_block(fact.text, fact.domain)):
        if by_npm:
            return None
        lost = hostfile.LOST_TLS.format(row.certificate)
        raise Drift(f"{fact.domain}: {lost}: save the host in NPM's page, or have NPM write its file by `--way api`")
    upstream, former = Upstream(values.host, values.port, values.scheme), fact.text or fact.backup_text
    try:
        if not former:
            close = "; `npm.switch --raw-api closed` does without" if may_close else ""
            raise Drift(f"{fact.backup_problem}: with `--way api` NPM makes the file itself{close}")
        try:
            return hostfile.updated_file(
                fact.text or fact.backup_text, fact.domain, upstream, row.advanced, values.advanced
            )
        except Drift:
            if row.custom or not fact.text:
                raise
            return hostfile.repaired_file(fact.text, fact.domain, upstream, values.advanced)
    except Drift:
        if by_npm:
            return None
        raise


def _columns(values: Values) -> str:
    """Return the row's columns for a diff: short ones first, booleans as the database has them."""
    short = {COLUMNS[name]: value for name, value in values._asdict().items() if name != "advanced"}
    lines = [
        f"{column}: {int(value) if isinstance(value, bool) else value}\n"
        for column, value in short.items()
        if value is not None
    ]
    return f"{''.join(lines)}{COLUMNS['advanced']}:\n{values.advanced}\n"
