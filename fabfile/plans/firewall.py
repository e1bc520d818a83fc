"""What the edge needs of UFW, and what the world does not."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fabfile.inventory import BRIDGE, Service, Site
from fabfile.plan import Step, Steps, Undo
from fabfile.plans.findings import Finding
from fabfile.runner import ufw
from fabfile.runner.actions.firewall import Allow, Remove
from fabfile.runner.facts import Facts, Listener, Rule
from fabfile.survey import address

_DOCKER = ("docker-proxy", "dockerd")  # either holds a published port, by the daemon's `userland-proxy`


@dataclass(frozen=True)
class Door:
    """A port of the host that the edge's network has to reach, and the comment that marks our rule for it."""

    name: str
    port: int
    comment: str


def doors(site: Site) -> tuple[Door, ...]:
    """Where the edge's network finds web and API on the host."""
    comment = site.firewall.comment_for
    return tuple(Door(s.name, s.port, comment(s)) for s in site.scope("full") if s.port)


def lots(site: Site, services: Iterable[Service] | None = None) -> tuple[Door, ...]:
    """Where it finds the parking lot of these services, of all if None; nowhere when nothing is held."""
    comment = site.firewall.comment_for
    chosen = site.scope("full") if services is None else services
    return tuple(
        Door(f"{s.name}'s parking lot", s.parking_port, f"{comment(s)} parking")
        for s in chosen
        if s.parking_port and site.edge.hold
    )


def allow(site: Site, facts: Facts) -> Steps:
    """Let the edge's network reach web and API on the host; without it their packets are dropped unseen.

    Our rules for a former network of the edge's go: a network that is built anew gets another subnet.
    """
    return _allowed(facts, doors(site)) + _stale(site, facts)


def park(site: Site, facts: Facts, services: Iterable[Service] | None = None) -> Steps:
    """Let the edge's network reach the parking lot of these services, of all if None."""
    return _allowed(facts, lots(site, services))


def close(site: Site, facts: Facts) -> Steps:
    """Take away the rules that let the world in where it has no business; the edge's network stays let in."""
    opening = [
        rule for port in site.private_ports.values() for rule in ufw.openers(facts.rules, port, facts.firewall_default)
    ]
    going = {rule.text: rule for rule in opening if _opens_nothing_else(rule)}
    ports = {rule.port for rule in going.values()}
    needed = [door for door in (*doors(site), *lots(site)) if str(door.port) in ports]
    return _allowed(facts, needed, tuple(going)) + tuple(_removed(rule) for rule in going.values())


def refusals(site: Site, facts: Facts) -> list[Finding]:
    """What `close` cannot close, each with its cure; a firewall that does not filter makes all of it useless."""
    if facts.firewall_error:
        return [Finding(f"UFW: {facts.firewall_error}", "mend it: `sudo ufw status verbose` on the VPS")]
    if not facts.firewall_active:
        cure = "on the VPS, with SSH, 80 and 443 allowed first: sudo ufw enable"
        return [Finding("UFW is not active: nothing filters", cure)]
    found: dict[str, list[str]] = {}
    for what, port in site.private_ports.items():
        for rule in ufw.openers(facts.rules, port, facts.firewall_default):
            if not _opens_nothing_else(rule):
                found.setdefault(rule.text, []).append(f"{port} ({what})")
    broad = [
        Finding(
            f"`{text}` opens more than {', '.join(ports)}, or on one interface or address only, so it stays",
            "if it is not meant, put narrower rules in its place by hand: `ufw status numbered`",
            warning=True,
        )
        for text, ports in found.items()
    ]
    return broad + [_published(what, port) for what, port in site.private_ports.items() if _past_ufw(site, facts, port)]


def checks(site: Site, facts: Facts) -> Iterator[tuple[str, bool, str]]:
    """Rows (what, good or not, evidence): UFW itself, and each port that the edge has to reach."""
    if facts.firewall_error:
        yield "UFW", False, facts.firewall_error
        return
    state = f"active, {len(facts.rules)} rules" if facts.firewall_active else "not active: nothing filters"
    yield "UFW", True, state if facts.firewall_present else "not installed: nothing of it filters"
    for step in _allowed(facts, doors(site)):
        settled = step.action.settled(facts)
        yield (
            step.name,
            bool(settled),
            settled or f"dropped; `inv firewall.allow` runs: {step.action.describe()}",
        )


def audit(site: Site, facts: Facts) -> Iterator[tuple[str, bool, str]]:
    """Rows (what, good or not, evidence): UFW itself, and each port that nobody outside may reach."""
    if facts.firewall_error:
        yield "UFW", False, facts.firewall_error
        return
    default = f"active, by default incoming packets meet {facts.firewall_default or 'nothing that it tells'}"
    yield (
        "UFW",
        facts.firewall_active and facts.firewall_default in ("deny", "reject"),
        default if facts.firewall_active else "not active: nothing filters",
    )
    for what, port in site.private_ports.items():
        published = _past_ufw(site, facts, port)
        ways = [f"Docker publishes it on {', '.join(published)}, past UFW"] if published else []
        ways += [] if ways and not facts.firewall_active else _let_in(site, facts, port)
        yield f"{what}, port {port}", not ways, "; ".join(ways) or "closed to the world"


def _allowed(facts: Facts, wanted: Iterable[Door], without: tuple[str, ...] = ()) -> Steps:
    subnet = _subnet(facts)
    return tuple(
        Step(f"firewall: {subnet} to {door.name}", Allow(subnet, door.port, door.comment, without), Undo())
        for door in wanted
    )


def _stale(site: Site, facts: Facts) -> Steps:
    """Our own rules, known by their comments, that are for another network or port than today's."""
    subnet = _subnet(facts)
    wanted = {door.comment: (subnet, str(door.port)) for door in (*doors(site), *lots(site))}
    ours = [rule for rule in facts.rules if rule.comment in wanted and rule.action == "allow" and rule.source]
    return tuple(_removed(rule) for rule in ours if subnet and (rule.source, rule.port) != wanted[rule.comment])


def _removed(rule: Rule) -> Step:
    action = Remove(ufw.words(rule.text))
    return Step(f"firewall: without {' '.join(action.bare)}", action, Undo())


def _subnet(facts: Facts) -> str:
    return str(facts.edge.get("network", {}).get("subnet", ""))


def _opens_nothing_else(rule: Rule) -> bool:
    return rule.port.isdecimal() and not rule.narrow


def _let_in(site: Site, facts: Facts, port: int) -> list[str]:
    """How the world gets past UFW's own rules to a port; with UFW off, whatever listens is open."""
    if facts.firewall_active:
        found = ufw.openers(facts.rules, port, facts.firewall_default)
        return [f"open by `{rule.text}`" + (" (one interface or address)" if rule.narrow else "") for rule in found]
    return [f"{item.command} listens on {item.address}" for item in _public(site, facts, port)]


def _past_ufw(site: Site, facts: Facts, port: int) -> list[str]:
    """The addresses on which Docker publishes a port to the world: its rules come before any of UFW's."""
    return [item.address for item in _public(site, facts, port) if item.command in _DOCKER]


def _public(site: Site, facts: Facts, port: int) -> list[Listener]:
    """Who listens on a port where the world could come in: not on loopback, not on the bridge."""
    own = address(facts, BRIDGE)
    listening = [item for item in facts.listeners if item.port == port and item.address != own]
    return [item for item in listening if not ipaddress.ip_address(item.address).is_loopback]


def _published(what: str, port: int) -> Finding:
    return Finding(
        f"{what}, port {port}: Docker publishes it past UFW, so no rule of UFW's closes it",
        f'publish it as "127.0.0.1:{port}:…" in the Compose file of the container that `docker ps --filter '
        f"publish={port}` names and run `docker compose up -d` there, which restarts that container; "
        f"then reach it by ssh -L {port}:127.0.0.1:{port}",
        warning=True,
    )
