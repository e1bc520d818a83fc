"""What the edge needs of UFW, and what the world does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fabfile.inventory import Service, Site
from fabfile.plans.plan import Step, Steps, Undo
from fabfile.runner.actions.firewall import AllowRule, DeleteRule
from fabfile.runner.system import ufw
from fabfile.runner.wire.facts import Facts
from fabfile.runner.wire.firewall import Rule


@dataclass(frozen=True)
class EdgePort:
    """A port of the host that the edge's network has to reach, and the comment that marks our rule for it."""

    name: str
    port: int
    comment: str


def service_ports(site: Site) -> tuple[EdgePort, ...]:
    """Where the edge's network finds web and API on the host."""
    comment = site.firewall.comment_for
    return tuple(EdgePort(s.name, s.port, comment(s)) for s in site.scope("full") if s.port)


def parking_ports(site: Site, services: Iterable[Service] | None = None) -> tuple[EdgePort, ...]:
    """Where it finds the parking lot of these services, of all if None; nowhere when nothing is held."""
    comment = site.firewall.comment_for
    selection = site.scope("full") if services is None else services
    return tuple(
        EdgePort(f"{s.name}'s parking lot", s.parking_port, f"{comment(s)} parking")
        for s in selection
        if s.parking_port and site.edge.hold
    )


def allow(site: Site, facts: Facts) -> Steps:
    """Let the edge's network reach web and API on the host; without it their packets are dropped unseen.

    Our rules for a former network of the edge's go: a network that is built anew gets another subnet.
    """
    return admit(facts, service_ports(site)) + _stale(site, facts)


def park(site: Site, facts: Facts, services: Iterable[Service] | None = None) -> Steps:
    """Let the edge's network reach the parking lot of these services, of all if None."""
    return admit(facts, parking_ports(site, services))


def close(site: Site, facts: Facts) -> Steps:
    """Take away the rules that let the world in where it has no business; the edge's network stays let in."""
    opening = [
        rule
        for port in site.private_ports.values()
        for rule in ufw.opening_rules(facts.firewall.rules, port, facts.firewall.default)
    ]
    going = {rule.text: rule for rule in opening if opens_nothing_else(rule)}
    ports = {rule.port for rule in going.values()}
    needed = [entry for entry in (*service_ports(site), *parking_ports(site)) if str(entry.port) in ports]
    return admit(facts, needed, tuple(going)) + tuple(_delete(rule) for rule in going.values())


def admit(facts: Facts, ports: Iterable[EdgePort], ignoring: tuple[str, ...] = ()) -> Steps:
    subnet = _subnet(facts)
    return tuple(
        Step(f"firewall: {subnet} to {entry.name}", AllowRule(subnet, entry.port, entry.comment, ignoring), Undo())
        for entry in ports
    )


def _stale(site: Site, facts: Facts) -> Steps:
    """Our own rules, known by their comments, that are for another network or port than today's."""
    subnet = _subnet(facts)
    current = {entry.comment: (subnet, str(entry.port)) for entry in (*service_ports(site), *parking_ports(site))}
    ours = [rule for rule in facts.firewall.rules if rule.comment in current and rule.action == "allow" and rule.source]
    return tuple(_delete(rule) for rule in ours if subnet and (rule.source, rule.port) != current[rule.comment])


def _delete(rule: Rule) -> Step:
    action = DeleteRule(ufw.words(rule.text))
    return Step(f"firewall: without {' '.join(action.bare)}", action, Undo())


def _subnet(facts: Facts) -> str:
    return facts.edge.network.subnet


def opens_nothing_else(rule: Rule) -> bool:
    return rule.port.isdecimal() and not rule.narrow and not rule.profile
