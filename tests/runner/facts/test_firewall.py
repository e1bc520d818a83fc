"""What filters where UFW does not, as its own programs list it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.runner.facts.firewall import firewall
from fabfile.runner.facts.netfilter import filtering
from tests.runner.support.recorder import Answer, Recorder

OFF = "Status: inactive\n"


def state(tmp_path: Path, answers: Mapping[str, Answer]) -> str:
    return firewall(Recorder(tmp_path, {"ufw status": OFF, **answers})).other


def ruleset(policy: str, *rules: list[dict[str, Any]], hook: str = "input", chain: str = "in") -> str:
    head = {"family": "inet", "table": "filter"}
    base = {**head, "name": "in", "type": "filter", "hook": hook, "prio": 0, "policy": policy}
    items = [{"metainfo": {}}, {"table": {"family": "inet", "name": "filter"}}, {"chain": base}]
    return json.dumps({"nftables": items + [{"rule": {**head, "chain": chain, "expr": rule}} for rule in rules]})


def matching(field: str, value: str, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": {"payload": {"protocol": "ip", "field": field}}, "right": value}}


def of_state(value: str, op: str = "in") -> dict[str, Any]:
    return {"match": {"op": op, "left": {"ct": {"key": "state"}}, "right": value}}


def of_protocol(value: str, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": {"meta": {"key": "l4proto"}}, "right": value}}


DROP, JUMP = {"drop": None}, {"jump": {"target": "more"}}


@pytest.mark.parametrize(
    ("answers", "name"),
    [
        ({"firewall-cmd --state": "running\n"}, "firewalld"),
        ({"nft": ruleset("drop")}, "nftables (table inet filter)"),
        ({"nft": ruleset("accept", [{"counter": {}}, {"reject": {"type": "icmpx"}}])}, "nftables (table inet filter)"),
        ({"iptables -S": "-P INPUT DROP\n-P FORWARD DROP\n"}, "iptables (chain INPUT)"),
        ({"iptables -S": "-P INPUT ACCEPT\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j REJECT\n"}, "iptables (chain INPUT)"),
        ({"iptables -S": "-A INPUT -j more\n-A more -p tcp -m tcp --dport 4000 -j DROP\n"}, "iptables (chain INPUT)"),
        ({"iptables -S": "-A INPUT ! -s 203.0.113.9/32 -j DROP\n"}, "iptables (chain INPUT)"),
        ({"iptables -S": "-A INPUT -m conntrack --ctstate INVALID,NEW -j DROP\n"}, "iptables (chain INPUT)"),
        ({"iptables -S": "-A INPUT -m state ! --state ESTABLISHED -j REJECT\n"}, "iptables (chain INPUT)"),
        ({"nft": ruleset("accept", [matching("saddr", "192.0.2.9", "!="), DROP])}, "nftables (table inet filter)"),
        ({"nft": ruleset("accept", [of_state("established", "!="), DROP])}, "nftables (table inet filter)"),
        ({"nft": ruleset("accept", [of_protocol("tcp"), DROP])}, "nftables (table inet filter)"),
    ],
)
def test_what_refuses_packets_has_a_name(answers: dict[str, Answer], name: str, tmp_path: Path) -> None:
    assert state(tmp_path, answers) == name


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"firewall-cmd --state": (252, "", "not running")},
        {"nft": ruleset("accept", [{"accept": None}])},
        {"nft": ruleset("drop", hook="forward")},
        {"nft": ruleset("accept", [matching("saddr", "@banned"), {"reject": None}])},
        {"nft": (1, "", "Operation not permitted")},
        {"nft": "no JSON"},
        {"nft": "[]"},
        {"iptables -S": "-P INPUT ACCEPT\n-P FORWARD DROP\n-A FORWARD -j DROP\n"},
        {"iptables -S": "-A INPUT -p tcp -j f2b-sshd\n-A f2b-sshd -s 192.0.2.7/32 -j REJECT\n-A f2b-sshd -j RETURN\n"},
        {"iptables -S": "-A INPUT -j loop\n-A loop -j loop\n"},
        {"iptables -S": "-A INPUT -m conntrack --ctstate INVALID -j DROP\n-A INPUT -p icmp -j DROP\n"},
        {"iptables -S": "-A INPUT -m set --match-set banned src -j DROP\n-A INPUT ! -p tcp -j DROP\n"},
        {"nft": ruleset("accept", [of_state("invalid"), DROP], [of_protocol("udp"), DROP])},
        {"nft": ruleset("accept", [matching("protocol", "icmp"), DROP])},
    ],
)
def test_what_refuses_nobody_single_senders_or_no_new_connection_is_no_firewall(
    answers: dict[str, Answer], tmp_path: Path
) -> None:
    assert state(tmp_path, answers) == ""


def test_nftables_are_followed_to_the_chains_that_they_lead_to(tmp_path: Path) -> None:
    text = ruleset("accept", [JUMP])
    more = {"rule": {"family": "inet", "table": "filter", "chain": "more", "expr": [DROP]}}
    leading = json.dumps({"nftables": [*json.loads(text)["nftables"], more]})
    assert state(tmp_path, {"nft": leading}) == "nftables (table inet filter)"
    assert state(tmp_path, {"nft": text}) == ""


def test_an_active_ufw_is_the_firewall_and_nobody_else_is_looked_for(tmp_path: Path) -> None:
    machine = Recorder(tmp_path, {"ufw status": "Status: active\nDefault: deny (incoming)\n"})
    assert firewall(machine).other == ""
    assert {call[0] for call in machine.calls} == {"ufw"}


_LEAVES = st.one_of(st.none(), st.text(max_size=4), st.integers(), st.sampled_from(["input", "ip", "drop", "in"]))
_KEYS = st.sampled_from(["nftables", "chain", "rule", "expr", "family", "table", "name", "hook", "jump", "policy", "x"])
_ANYTHING = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=12
)


@given(_ANYTHING, st.lists(st.sampled_from(["-A", "INPUT", "-j", "-P", "DROP", "x", "-s"]), max_size=8))
def test_no_answer_breaks_it(rules: object, words: list[str]) -> None:
    machine = Recorder(Path("/nowhere"), {"nft": json.dumps({"nftables": rules}), "iptables": " ".join(words)})
    assert isinstance(filtering(machine), str)
