"""UFW's rules, read from its own listing."""

from __future__ import annotations

import ipaddress
import shlex
from typing import List, Optional, Sequence, Tuple

from .facts import Rule
from .machine import Machine

_LOGS = ("log", "log-all")


def active(machine: Machine) -> bool:
    """Whether UFW filters at all."""
    return "Status: active" in machine.run(["ufw", "status"], timeout=15).out


def rules(machine: Machine) -> Tuple[Rule, ...]:
    """The added rules for incoming traffic. Raises CommandFailed when ufw is not there."""
    lines = machine.run(["ufw", "show", "added"], timeout=15).out.splitlines()
    parsed = [parse(line) for line in lines if line.startswith("ufw ")]
    return tuple(rule for rule in parsed if rule is not None)


def parse(line: str) -> Optional[Rule]:
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
        return Rule(action, port, protocol, "", comment, line, narrow)
    at = rest.index("to") if "to" in rest else len(rest)
    source, target = _after(rest[:at], "from"), _after(rest[at:], "to")
    narrow = narrow or target not in ("", "any") or bool({"port", "app"} & set(rest[:at]))
    port = _after(rest[at:], "port") or _after(rest[at:], "app")
    return Rule(action, port, _after(rest, "proto"), "" if source == "any" else source, comment, line, narrow)


def allows(found: Sequence[Rule], source: str, port: int) -> str:
    """The allowing rule that lets TCP from the network `source` reach `port`; empty when none does.

    The first that covers it decides, as in UFW.
    """
    for rule in found:
        if rule.narrow or not _covers(rule.port, port) or rule.protocol not in ("", "tcp"):
            continue
        if not rule.source or _within(source, rule.source):
            return rule.text if rule.action in ("allow", "limit") else ""
    return ""


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


def _after(words: List[str], key: str) -> str:
    return words[words.index(key) + 1] if key in words[:-1] else ""
