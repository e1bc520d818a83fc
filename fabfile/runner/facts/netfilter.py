"""Finds out what filters incoming packets where UFW does not: firewalld, or rules of nftables or iptables."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ..system.machine import CommandFailed, Machine
from ..wire import shape

_REFUSING = ("drop", "reject")


class _Rule(NamedTuple):
    """Where a rule sends packets (a verdict in lower case, or a chain), and whether it leaves new TCP to the others.

    It does where it names senders, another protocol, or packets of no connection.
    """

    target: str
    narrow: bool


_Chains = Mapping[str, Sequence[_Rule]]


def filtering(machine: Machine) -> str:
    """The name of what refuses incoming packets; empty where nothing was found. Never raises.

    Rules that refuse single senders, as fail2ban's do, or invalid packets alone, are no firewall.
    """
    if _output(machine, ["firewall-cmd", "--state"]).strip() == "running":
        return "firewalld"
    return _nftables(_output(machine, ["nft", "-j", "list", "ruleset"])) or _iptables(
        _output(machine, ["iptables", "-S"])
    )


def _output(machine: Machine, argv: Sequence[str]) -> str:
    """What a program prints; nothing where it fails, or is not there."""
    try:
        return machine.run(argv, timeout=15).out
    except CommandFailed:
        return ""


def _nftables(text: str) -> str:
    """The first table of an nftables ruleset (as JSON) that refuses incoming IPv4 packets."""
    try:
        items = shape.parse(text)["nftables"]
        chains: dict[tuple[str, str], dict[str, list[_Rule]]] = {}
        for rule in (item["rule"] for item in items if "rule" in item):
            table = chains.setdefault((rule["family"], rule["table"]), {})
            table.setdefault(rule["chain"], []).extend(_nft_rules(rule["expr"]))
        for chain in (item["chain"] for item in items if "chain" in item):
            if chain.get("hook") != "input" or chain["family"] not in ("ip", "inet"):
                continue
            table = chains.get((chain["family"], chain["table"]), {})
            if chain.get("policy") == "drop" or _refuses(table, chain["name"]):
                return f"nftables (table {chain['family']} {chain['table']})"
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return ""


def _nft_rules(expressions: Sequence[Mapping[str, Any]]) -> list[_Rule]:
    narrow = any(_narrows(part["match"]) for part in expressions if "match" in part)
    jumps = [part[verb]["target"] for part in expressions for verb in ("jump", "goto") if verb in part]
    return [_Rule(target, narrow) for target in jumps] + [
        _Rule(verb, narrow) for part in expressions for verb in _REFUSING if verb in part
    ]


def _narrows(match: Mapping[str, Any]) -> bool:
    """Whether an nftables match leaves out new TCP connections of most senders."""
    left, right, negated = json.dumps(match["left"]), json.dumps(match["right"]), match.get("op") == "!="
    if "saddr" in left:
        return not negated
    if '"state"' in left:
        return ("new" in right) == negated
    if "l4proto" in left or ('"protocol": "ip"' in left and '"field": "protocol"' in left):
        return ("tcp" in right) == negated
    return False


def _iptables(text: str) -> str:
    """ "iptables" where the filter table, as `iptables -S` lists it, refuses incoming packets."""
    chains: dict[str, list[_Rule]] = {}
    for line in text.splitlines():
        words = line.split()
        if words[:3] == ["-P", "INPUT", "DROP"]:
            return "iptables (chain INPUT)"
        target = next((words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-j", "-g")), "")
        if words[:1] == ["-A"] and target:
            name = target.lower() if target in ("DROP", "REJECT") else target
            chains.setdefault(words[1], []).append(_Rule(name, _is_narrow(words)))
    return "iptables (chain INPUT)" if _refuses(chains, "INPUT") else ""


def _is_narrow(words: Sequence[str]) -> bool:
    """Whether a rule of iptables leaves out new TCP connections of most senders."""
    for before, option, value in zip(words, words[1:], words[2:]):
        negated = before == "!"
        if option in ("-s", "--match-set") and not negated:
            return True
        if option in ("--ctstate", "--state") and ("NEW" in value.split(",")) == negated:
            return True
        if option == "-p" and (value in ("tcp", "all")) == negated:
            return True
    return False


def _refuses(chains: _Chains, name: str, seen: Collection[str] = ()) -> bool:
    """Whether a chain, or one that it leads to, refuses by a rule that is not narrow."""
    if name in seen:
        return False
    return any(
        rule.target in _REFUSING or _refuses(chains, rule.target, (*seen, name))
        for rule in chains.get(name, ())
        if not rule.narrow
    )
