"""Where a hostname shall go, and what that makes of its row and its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

from . import npmfile
from .codec import wire
from .edge import HostFact, digest
from .machine import StepFailed
from .nginx import ParseError
from .npmfile import Drift, Upstream
from .npmrows import ProxyHost


@wire
@dataclass(frozen=True)
class EdgeHost:
    """Where one hostname shall go.

    `routes` are path prefixes that go to an upstream of their own. `probe_path` is asked of the new upstream
    before, and through the edge after the switch; empty asks for a mere connection before, and for nothing
    after. `expect_header` ("name: value") must be in those answers.
    """

    domain: str
    upstream_host: str
    upstream_port: int
    routes: Tuple[str, ...] = ()
    route_host: str = ""
    route_port: int = 0
    probe_path: str = "/"
    expect_header: str = ""

    @property
    def upstream(self) -> Upstream:
        return Upstream(self.upstream_host, self.upstream_port)

    @property
    def block(self) -> str:
        """The managed block for advanced_config; empty without routes."""
        if not self.routes:
            return ""
        return npmfile.managed_block(self.routes, Upstream(self.route_host, self.route_port))

    def __str__(self) -> str:
        routes = f" ({len(self.routes)} prefixes at {self.route_host}:{self.route_port})" if self.routes else ""
        return f"{self.domain} at {self.upstream}{routes}"


@dataclass(frozen=True)
class HostChange:
    """What a switch makes of one host: its row's values and its file's text, before and after."""

    host: EdgeHost
    fact: HostFact
    row: ProxyHost
    advanced: str
    text: str

    @property
    def same(self) -> bool:
        """Whether row and file are already as they shall be."""
        settled = self.row.leads_to(self.host.upstream) and self.advanced == self.row.advanced
        return settled and self.text == self.fact.text

    def diffs(self) -> List[Tuple[str, str, str]]:
        """What would change, for people: (title, before, after) of the row's columns and of the file."""
        wanted = self.host.upstream
        now = _columns(self.row.scheme, self.row.host, self.row.port, self.row.advanced)
        then = _columns(wanted.scheme, wanted.host, wanted.port, self.advanced)
        title = f"proxy_host row {self.row.id} ({self.host.domain})"
        pairs = [(title, now, then), (self.fact.path, self.fact.text, self.text)]
        return [pair for pair in pairs if pair[1] != pair[2]]

    def summary(self) -> Dict[str, Any]:
        """For the journal: places and fingerprints. The texts may hold an operator's secrets."""
        return {
            "row": self.row.id,
            "row_was": self.row.place,
            "row_becomes": str(self.host.upstream),
            "advanced_was": digest(self.row.advanced),
            "file": self.fact.path,
            "file_was": digest(self.fact.text),
            "file_becomes": digest(self.text),
        }


def change_of(host: EdgeHost, fact: HostFact) -> HostChange:
    """What pointing `host` makes of what was found. Raises StepFailed where no safe change can be told."""
    if fact.problem or fact.row is None:
        raise StepFailed(fact.problem or f"nothing is known of {host.domain}")
    row = fact.row
    try:
        advanced = npmfile.managed_config(row.advanced, host.block) if host.routes else row.advanced
        text = npmfile.updated_file(fact.text, host.domain, host.upstream, row.advanced, advanced)
    except ParseError as error:
        raise Drift(f"{host.domain}: its advanced_config is not complete directives: {error}") from error
    return HostChange(host, fact, row, advanced, text)


def _columns(scheme: str, host: str, port: int, advanced: str) -> str:
    place = f"forward_scheme: {scheme}\nforward_host: {host}\nforward_port: {port}\n"
    return f"{place}advanced_config:\n{advanced}\n"
