"""What the firewall lets in: the edge to web and API, and nobody to what is private."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from fabfile.checks.result import Finding
from fabfile.inventory import BRIDGE, Site
from fabfile.plans.firewall import admit, opens_nothing_else, parking_ports, service_ports
from fabfile.runner.system import docker, ufw
from fabfile.runner.wire.facts import Facts, Listener
from fabfile.runner.wire.firewall import Rule
from fabfile.survey import address


def before_native(site: Site, facts: Facts) -> list[Finding]:
    """What stands against native web and API behind this firewall."""
    if facts.firewall.problem:
        return [Finding(f"UFW: {facts.firewall.problem}", "fix it: `sudo ufw status` must answer")]
    if facts.firewall.other:
        subnet, bind = facts.edge.network.subnet, site.runtimes.native.bind
        ports = ", ".join(str(entry.port) for entry in (*service_ports(site), *parking_ports(site)))
        public = "; they would listen on every address of the VPS" if bind == "0.0.0.0" else ""
        return [
            Finding(
                f"{facts.firewall.other} filters here, and its rules are not read: whether the edge reaches native web "
                f"and API can't be told{public}",
                f"in that firewall, let TCP from {subnet or 'the network of the edge'} in to the ports {ports}"
                + (', and set runtimes.native.bind to "bridge"' if public else ""),
                warning=True,
            )
        ]
    if facts.firewall.active:
        return list(_before_ours(site, facts))
    if site.runtimes.native.bind != "0.0.0.0":
        return []
    state = "not active" if facts.firewall.installed else "not installed"
    return [
        Finding(
            f"native web and API listen on every address of the VPS, and UFW is {state}: anybody may reach them",
            'set runtimes.native.bind to "bridge", or have a firewall',
            warning=True,
        )
    ]


def _before_ours(site: Site, facts: Facts) -> Iterator[Finding]:
    """Rules that keep the edge from native's ports: UFW puts ours behind them, where they decide nothing."""
    subnet, ports = facts.edge.network.subnet, (*service_ports(site), *parking_ports(site))
    rules = {entry.port: ufw.deciding(facts.firewall.rules, subnet, entry.port) for entry in ports}
    for text in dict.fromkeys(rule.text for rule in rules.values() if rule and rule.action != "allow"):
        of_rule = [str(port) for port, rule in rules.items() if rule and rule.text == text]
        words = "slows the edge down to six connections within 30 s on" if " limit " in text else "keeps the edge from"
        insert = " && ".join(f"sudo ufw insert 1 allow proto tcp from {subnet} to any port {port}" for port in of_rule)
        yield Finding(f"`{text}` {words} native's port {', '.join(of_rule)}", f"on the VPS: {insert}")


def refusals(site: Site, facts: Facts) -> list[Finding]:
    """What `close` cannot close, each with its fix; a firewall that does not filter makes all of it useless."""
    if facts.firewall.problem:
        return [Finding(f"UFW: {facts.firewall.problem}", "fix it: `sudo ufw status verbose` on the VPS")]
    if facts.firewall.other:
        return [
            Finding(
                f"{facts.firewall.other} filters here, and not UFW, whose rules alone this changes",
                "close what `inv firewall.audit` names in that firewall's own configuration",
            )
        ]
    if not facts.firewall.active:
        fix = "on the VPS, with SSH, 80 and 443 allowed first: sudo ufw enable"
        return [Finding("UFW is not active: nothing filters", fix)]
    exposed: dict[str, list[str]] = {}
    for what, port in site.private_ports.items():
        for rule in ufw.opening_rules(facts.firewall.rules, port, facts.firewall.default):
            if not opens_nothing_else(rule):
                exposed.setdefault(rule.text, []).append(f"{port} ({what})")
    broad = [
        Finding(
            f"`{text}` may open more than {', '.join(ports)}, or only on one interface or address, so it stays",
            "if it is not meant, put narrower rules in its place by hand: `ufw status numbered`",
            warning=True,
        )
        for text, ports in exposed.items()
    ]
    return broad + [
        _published(what, port, published)
        for what, port in site.private_ports.items()
        for published in [_published_by_docker(site, facts, port)]
        if published
    ]


def rows(site: Site, facts: Facts) -> Iterator[tuple[str, bool, str]]:
    """Rows (what, good or not, evidence): UFW itself, and each port that the edge has to reach."""
    if facts.firewall.problem:
        yield "UFW", False, facts.firewall.problem
        return
    if facts.firewall.other:
        yield "UFW", True, _elsewhere(facts)
        for entry in service_ports(site):
            yield f"{facts.edge.network.subnet} to {entry.name}", False, f"can't be told: {_own_rules(facts)}"
        return
    state = f"active, {len(_listed(facts))} rules" if facts.firewall.active else "not active: nothing filters"
    yield "UFW", True, state if facts.firewall.installed else "not installed: nothing of it filters"
    for step in admit(facts, service_ports(site)):
        noop_reason = step.action.noop_reason(facts)
        yield (
            step.name,
            bool(noop_reason),
            noop_reason or f"dropped; `inv firewall.allow` runs: {step.action.describe()}",
        )


def public_ports(site: Site, facts: Facts) -> Iterator[tuple[str, bool, str]]:
    """Rows (what, good or not, evidence): UFW itself, and each port that nobody outside may reach."""
    if facts.firewall.problem:
        yield "UFW", False, facts.firewall.problem
        return
    default = f"active, by default incoming packets meet {facts.firewall.default or 'nothing that it tells'}"
    yield (
        "UFW",
        bool(facts.firewall.other) or (facts.firewall.active and facts.firewall.default in ("deny", "reject")),
        default if facts.firewall.active else _elsewhere(facts) or "not active: nothing filters",
    )
    for what, port in site.private_ports.items():
        published = _published_by_docker(site, facts, port)
        ways = [f"Docker publishes it on {', '.join(map(_place, published))}, past UFW"] if published else []
        ways += [] if ways and not facts.firewall.active else _exposures(site, facts, port)
        yield f"{what}, port {port}", not ways, "; ".join(ways) or "closed to the world"


def _exposures(site: Site, facts: Facts, port: int) -> list[str]:
    """How the world gets past UFW's own rules to a port; with UFW off, whatever listens is open."""
    if facts.firewall.active:
        rules = ufw.opening_rules(facts.firewall.rules, port, facts.firewall.default)
        return list(dict.fromkeys(_opening(rule) for rule in rules))
    listening = [f"{item.command} listens on {item.address}" for item in _public(site, facts, port)]
    if facts.firewall.other:
        return [f"can't be told: {text}, and {_own_rules(facts)}" for text in listening]
    return listening


def _opening(rule: Rule) -> str:
    if rule.unresolved:
        return f"can't be told: UFW has no ports for the profile in `{rule.text}`"
    return f"open by `{rule.text}`" + (" (one interface or address)" if rule.narrow else "")


def _elsewhere(facts: Facts) -> str:
    """That another firewall filters; empty where none is known."""
    state = "not active" if facts.firewall.installed else "not installed"
    return f"{state}; {facts.firewall.other} filters" if facts.firewall.other else ""


def _own_rules(facts: Facts) -> str:
    return f"the rules of {facts.firewall.other} are not read"


def _listed(facts: Facts) -> set[str]:
    """The rules as UFW lists them: a profile's is one there."""
    return {rule.text for rule in facts.firewall.rules}


def _published_by_docker(site: Site, facts: Facts, port: int) -> list[Listener]:
    """Where Docker publishes a port to the world: its rules come before any of UFW's."""
    return [item for item in _public(site, facts, port) if item.command in docker.PROXIES]


def _place(listener: Listener) -> str:
    return listener.address + (f" (container {listener.container})" if listener.container else "")


def _public(site: Site, facts: Facts, port: int) -> list[Listener]:
    """Who listens on a port where the world could come in: not on loopback, not on the bridge."""
    own = address(facts, BRIDGE)
    listening = [item for item in facts.listeners if item.port == port and item.address != own]
    return [item for item in listening if not ipaddress.ip_address(item.address).is_loopback]


def _published(what: str, port: int, listeners: list[Listener]) -> Finding:
    named = ", ".join(sorted({item.container for item in listeners if item.container}))
    container = named or f"that `docker ps --filter publish={port}` names"
    return Finding(
        f"{what}, port {port}: Docker publishes it past UFW, so no rule of UFW's closes it",
        f'publish it as "127.0.0.1:{port}:…" in the Compose file of the container {container} and run '
        "`docker compose up -d` there, which restarts that container; "
        f"then reach it by ssh -L {port}:127.0.0.1:{port}",
        warning=True,
    )
