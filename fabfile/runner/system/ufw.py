"""Reads UFW's rules from its own listing."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

from ..wire.firewall import Rule
from .machine import Machine

TIMEOUT_SECONDS = 120  # each call loads all tables anew, which takes long on a busy machine; no request waits for it
_LOGS = ("log", "log-all")
_ALLOWING = ("allow", "limit")
_ANYWHERE = ("", "0.0.0.0/0", "::/0")
_PORTS = r"(\d[\d,:]*)(?:/(\w+))?"


def status(machine: Machine) -> tuple[bool, str]:
    """Whether UFW is active, and its default for incoming packets: deny, reject or allow.

    Raises CommandFailed when ufw is not there.
    """
    output = machine.run(["ufw", "status", "verbose"], timeout=TIMEOUT_SECONDS).out
    default = re.search(r"^Default: (\w+) \(incoming\)", output, re.MULTILINE)
    return "Status: active" in output, default.group(1) if default else ""


def list_added(machine: Machine) -> list[str]:
    """Every added rule as UFW lists it, in its order: all for IPv4, then those for IPv6 alone."""
    lines = machine.run(["ufw", "show", "added"], timeout=TIMEOUT_SECONDS).out.splitlines()
    return [line for line in lines if line.startswith("ufw ")]


def rules(machine: Machine) -> tuple[Rule, ...]:
    """The added rules for incoming traffic, profiles resolved. Raises CommandFailed when ufw is not there."""
    parsed = [rule for rule in map(parse, list_added(machine)) if rule is not None]
    names = dict.fromkeys(rule.profile for rule in parsed if rule.profile)
    if not names:
        return tuple(parsed)
    # The listing has the ports that filter; the profile's own file may have changed since, or be gone.
    listing = machine.run(["ufw", "status", "verbose"], timeout=TIMEOUT_SECONDS).out
    ports = {name: _listed_ports(listing, name) or _profile_ports(machine, name) for name in names}
    return tuple(part for rule in parsed for part in _resolved(rule, ports.get(rule.profile, [])))


def _resolved(rule: Rule, ports: Sequence[tuple[str, str]]) -> list[Rule]:
    """The rule for each line of its profile; as it is where it has none, or where its ports are unknown."""
    return [replace(rule, port=port, protocol=protocol) for port, protocol in ports] or [rule]


def _listed_ports(listing: str, profile: str) -> list[tuple[str, str]]:
    """A profile's ports and protocols as the active UFW lists them; empty where it is not active."""
    pattern = re.compile(rf"(?:^|\s){_PORTS} \({re.escape(profile)}(?: \(v6\))?\)", re.MULTILINE)
    return list(dict.fromkeys(pattern.findall(listing)))


def _profile_ports(machine: Machine, profile: str) -> list[tuple[str, str]]:
    """A profile's ports and protocols by its file; empty where UFW knows no such profile."""
    result = machine.run(["ufw", "app", "info", profile], timeout=TIMEOUT_SECONDS, ok=None)
    _, _, lines = result.out.partition("Port")  # "Port:" or "Ports:", then one a line
    return re.findall(rf"^\s+{_PORTS}\s*$", lines, re.MULTILINE) if result.code == 0 else []


def words(line: str) -> tuple[str, ...]:
    """The arguments of `ufw` in a line of its listing, which add the very rule."""
    return tuple(shlex.split(line)[1:])


def parse(line: str) -> Rule | None:
    """One line of `ufw show added`; None for a rule that is not about incoming traffic."""
    try:
        words = shlex.split(line)[1:]
    except ValueError:  # no line of UFW's
        return None
    if len(words) < 2 or words[0] not in ("allow", "limit", "deny", "reject") or words[1] == "out":
        return None
    comment = words[-1] if words[-2] == "comment" else ""
    action, rest = words[0], [word for word in words[1 : -2 if comment else None] if word not in ("in", *_LOGS)]
    narrow = "on" in rest[:1]
    rest = rest[2:] if narrow else rest
    if rest and "from" not in rest and "to" not in rest:  # short: `ufw allow 22/tcp`, or a profile's name
        port, _, protocol = rest[0].partition("/")
        return Rule(action, port, protocol, "", comment, line, narrow, "" if _is_ports(port) else port)
    at = rest.index("to") if "to" in rest else len(rest)
    source, target = _after(rest[:at], "from"), _after(rest[at:], "to")
    narrow = narrow or target not in ("", "any") or bool({"port", "app"} & set(rest[:at]))
    profile = _after(rest[at:], "app")
    port = _after(rest[at:], "port") or profile
    source = "" if source == "any" else source
    return Rule(action, port, _after(rest, "proto"), source, comment, line, narrow, profile)


def allows(listing: Sequence[Rule], source: str, port: int) -> str:
    """The allowing rule that lets all TCP from the network `source` reach `port`; empty when none does."""
    rule = deciding(listing, source, port)
    return rule.text if rule and rule.action == "allow" else ""


def deciding(listing: Sequence[Rule], source: str, port: int) -> Rule | None:
    """The rule that decides on TCP from the network `source` to `port`; None when the default does.

    That is the first that covers it, as in UFW. One that denies, and whose ports are unknown, may be that one. `limit`
    refuses an address after six connections within 30 seconds (ufw(8)).
    """
    for rule in listing:
        if rule.unresolved and rule.action not in _ALLOWING:
            return rule
        if rule.narrow or not _covers(rule.port, port) or rule.protocol not in ("", "tcp"):
            continue
        if not rule.source or _within(source, rule.source):
            return rule
    return None


def opening_rules(listing: Sequence[Rule], port: int, default: str) -> tuple[Rule, ...]:
    """The rules by which TCP from anywhere reaches `port`: those up to the first that blocks all, or the default.

    A narrow rule counts when it names the port, since the one interface or address may well be the public one; one
    whose profile is unknown counts when it allows, since the port may be among that profile's.
    """
    opening = []
    for rule in listing:
        covers = _covers(rule.port, port) or (rule.unresolved and rule.action in _ALLOWING)
        if rule.source not in _ANYWHERE or rule.protocol not in ("", "tcp") or not covers:
            continue
        if rule.action in _ALLOWING and (rule.port or not rule.narrow):
            opening.append(rule)
        elif rule.action not in _ALLOWING and not rule.narrow:
            return tuple(opening)
    if default == "allow":
        opening.append(Rule("allow", "", "", "", "", "ufw default allow incoming"))
    return tuple(opening)


def _is_ports(text: str) -> bool:
    return bool(re.fullmatch(r"[\d,:]*", text))


def _covers(ports: str, port: int) -> bool:
    """Whether a rule's ports (`80,443`, `6000:6010`, empty for any) hold `port`; a profile's name never does."""
    if not ports:
        return True
    for part in ports.split(","):
        first, _, last = part.partition(":")
        last = last or first
        if first.isdecimal() and last.isdecimal() and int(first) <= port <= int(last):
            return True
    return False


def _within(inner: str, outer: str) -> bool:
    try:
        ours, theirs = ipaddress.IPv4Network(inner), ipaddress.IPv4Network(outer, strict=False)
    except ValueError:  # an IPv6 or named source says nothing about our bridge
        return False
    return ours.subnet_of(theirs)


def _after(words: list[str], key: str) -> str:
    return words[words.index(key) + 1] if key in words[:-1] else ""
